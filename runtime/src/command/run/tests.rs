use super::*;

fn words(file: Option<&str>, second: Option<&str>) -> (Option<String>, Option<String>) {
    let words = Run {
        file: file.map(str::to_owned),
        words: second.map(str::to_owned),
        task: None,
        home: None,
        detach: false,
        include_dirty: false,
        output: None,
        event: None,
        event_name: None,
        no_input: true,
        allow_mcp: false,
    };
    file_and_task(&words)
}

#[test]
fn a_lone_word_is_a_task_unless_it_names_a_file() {
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(words(Some("fix the tests"), None), (None, some("fix the tests")));
    assert_eq!(words(Some("a.connector.json"), None), (some("a.connector.json"), None));
    assert_eq!(words(Some("-"), None), (some("-"), None));
    assert_eq!(words(Some("x"), Some("do it")), (some("x"), some("do it")));
    assert_eq!(
        words(Some("/no/such/file"), None),
        (some("/no/such/file"), None),
        "a path that is wrong is no task"
    );
    assert_eq!(words(Some("review.jsn"), None), (some("review.jsn"), None), "nor is a slip in a file's name");
}

#[test]
fn many_files_are_counted_and_not_all_named() {
    let files: Vec<String> = (1..=8).map(|n| format!("f{n}")).collect();
    assert_eq!(named(&files), "f1, f2, f3, f4, f5 and 3 more");
    assert_eq!(named(&files[..2]), "f1, f2");
}
