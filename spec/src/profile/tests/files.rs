use super::super::*;

fn wrong(text: &str) -> String {
    Profiles::built_in().unwrap().with([("mine.toml", text)]).unwrap_err().to_string()
}

#[test]
fn a_users_file_changes_just_what_it_names() {
    let mine = "id = \"claude\"\nprogram = \"/opt/claude\"\n[names]\nfast = \"haiku\"\n";
    let profiles = Profiles::built_in().unwrap().with([("mine.toml", mine)]).unwrap();
    let found = profiles.resolve("fast").unwrap();
    assert_eq!((found.profile.id.as_str(), found.model.as_deref()), ("claude", Some("haiku")));
    let call = Call { prompt: Some("x"), ..Call::default() };
    assert_eq!(found.profile.call(&call).unwrap().argv(), ["/opt/claude", "-p", "x"]);
    assert!(!found.profile.errors.is_empty() && profiles.resolve("opus").is_ok());
    assert_eq!(found.profile.source, "mine.toml");
}

#[test]
fn a_users_own_profile_comes_before_the_built_in_ones() {
    let mine = "id = \"house\"\nprogram = \"house-llm\"\nprompt = \"argument\"\nargv = [\"{prompt}\"]\nnames = {opus = \"o\"}\n";
    let profiles = Profiles::built_in().unwrap().with([("house.toml", mine)]).unwrap();
    assert_eq!(profiles.resolve("opus").unwrap().profile.id, "house");
    assert_eq!(profiles.ls()[0].id, "house");
    assert_eq!(profiles.ls().len(), BUILT_IN.len() + 1);
}

#[test]
fn what_is_wrong_in_a_file_is_told_with_line_and_column() {
    assert!(wrong("id = \"a\"\nprogramm = \"x\"\n").starts_with("mine.toml:2:1: unknown field `programm`"));
    assert!(wrong("id = \"a\"\nprogram = \n").starts_with("mine.toml:2:11: "));
    assert!(wrong("id = \"a\"\nprompt = \"fax\"\n").starts_with("mine.toml:2:10: unknown variant `fax`"));
    assert_eq!(
        wrong("id = \"a\"\nprogram = \"x\"\nprompt = \"argument\"\nargv = [\"é\", \"{promt}\"]\n"),
        "mine.toml:4:14: `{promt}` is no placeholder: there are {prompt}, {prompt_file}, {model}, {args}, {shell}, {session}, {overlay}, {niia}, {cwd}, {kept}, {port}, {secret}, {permission} and {mcp}"
    );
    let head = "id = \"a\"\nprogram = \"x\"\nprompt = \"stdin\"\n";
    assert!(
        wrong(&format!("{head}[[error]]\nclass = \"quota\"\npattern = '(('\n"))
            .starts_with("mine.toml:6:11: not a pattern: ")
    );
    assert!(
        wrong(&format!("{head}[[error]]\nclass = \"quota\"\n"))
            .contains("an error needs a `pattern`, an `exit` or a `code`")
    );
    assert!(
        wrong(&format!("{head}[[error]]\nclass = \"broke\"\nexit = 1\n")).contains("unknown variant `broke`")
    );
}

#[test]
fn keys_that_contradict_each_other_are_refused() {
    let needs = "mine.toml:3:10: with this `prompt`, `{prompt}` must stand in `argv`";
    assert_eq!(wrong("id = \"a\"\nprogram = \"x\"\nprompt = \"argument\"\n"), needs);
    assert!(wrong("id = \"a\"\n").contains("`prompt` is missing"));
    assert!(wrong("id = \"a\"\nprompt = \"stdin\"\n").contains("`program` is missing"));
    assert!(wrong("id = \"../a\"\nprompt = \"stdin\"\nprogram = \"x\"\n").contains("`../a` is no id"));
    assert!(
        wrong("id = \"a\"\nprompt = \"stdin\"\nprogram = \"x\"\nmodel_required = true\n")
            .contains("`model_required`")
    );
    assert!(wrong("id = \"a\"\nprompt = \"args\"\nargv = [\"-x{args}\"]\n").contains("must stand alone"));
}

#[test]
fn two_files_for_one_tool_are_refused_and_so_is_a_file_without_end() {
    let mine = "id = \"claude\"\n";
    let twice = Profiles::built_in().unwrap().with([("a.toml", mine), ("b.toml", mine)]).unwrap_err();
    assert_eq!(twice.to_string(), "b.toml:1:6: another file already says how `claude` is driven");
    assert!(
        wrong(&format!("# {}", "x".repeat(file::FILE_BYTES_MAX)))
            .contains("a profile has at most 262144 bytes")
    );
    assert!(wrong("id = \"a\"\nprompt=\"stdin\"\nprogram=\"x\"\n[[error]]\nclass=\"quota\"\npattern='(a{1000}){1000}'").contains("not a pattern"));
}

#[test]
fn no_text_makes_the_reader_panic() {
    let mut random = fastrand::Rng::with_seed(7);
    let (whole, built_in) = (BUILT_IN[0].1, Profiles::built_in().unwrap());
    for _ in 0..500 {
        let mut text = whole.to_owned();
        for _ in 0..random.usize(1..4) {
            let at =
                (0..=random.usize(0..text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
            match random.u8(0..3) {
                0 => text.truncate(at),
                1 => text.insert(at, random.char(..)),
                _ => text.insert_str(at, "\"]}{\n[[error"),
            }
            if text.is_empty() {
                break;
            }
        }
        if let Err(error) = built_in.clone().with([("x", text.as_str())]) {
            assert!(error.line >= 1 && error.column >= 1 && !error.message.is_empty());
        }
    }
}

#[test]
fn every_pattern_of_a_built_in_profile_is_one() {
    for profile in Profiles::built_in().unwrap().ls() {
        let errors = profile.errors.iter().filter_map(|rule| rule.pattern.as_ref());
        let screens = profile.screens.iter().flat_map(|rule| rule.screen.iter().chain(&rule.title));
        for pattern in errors.chain(screens) {
            assert_eq!(pattern.check(), Ok(()), "{}: {pattern}", profile.id);
        }
    }
}
