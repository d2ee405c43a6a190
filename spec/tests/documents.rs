//! Documents of users, good and bad: what is found in each, and what is planned of each.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests read the corpus")]

mod place;

use std::fs;
use std::path::{Path, PathBuf};

use niia_spec::diagnostic::{has_errors, render};
use niia_spec::plan::show::show;
use niia_spec::{draw, read};

fn documents(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/documents").join(folder);
    let mut paths: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// Everything a person is told of a document, and whether it could be run.
fn told(path: &Path) -> (String, bool) {
    let text = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let (document, mut found) = read(&text, name);
    assert_eq!(
        document.is_some(),
        !has_errors(&found),
        "{name}: a document is there when nothing is wrong with it"
    );
    let Some(document) = document else {
        return (render(&found, &text), false);
    };
    let around = place::surroundings(stem(path));
    match draw(&document, &around) {
        Ok(drawn) => {
            found.extend(drawn.warnings);
            (format!("{}\n{}", show(&drawn.plan, &around, &[]), render(&found, &text)), true)
        }
        Err(more) => {
            assert!(has_errors(&more), "{name}: a plan that cannot be drawn has an error");
            found.extend(more);
            (render(&found, &text), false)
        }
    }
}

fn snapshot(folder: &str, path: &Path, text: &str) {
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path(format!("documents/told/{folder}"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(stem(path), text));
}

#[test]
fn every_good_document_becomes_a_plan() {
    for path in documents("good") {
        let (text, runs) = told(&path);
        assert!(runs, "{}:\n{text}", path.display());
        snapshot("good", &path, &text);
    }
}

#[test]
fn every_bad_document_is_refused_with_all_that_is_wrong_in_it() {
    for folder in ["bad", "bad-structure"] {
        for path in documents(folder) {
            let (text, runs) = told(&path);
            assert!(!runs, "{}:\n{text}", path.display());
            snapshot(folder, &path, &text);
        }
    }
}

#[test]
fn the_corpus_is_as_large_as_it_should_be() {
    let count = ["good", "bad", "bad-structure"].map(|folder| documents(folder).len()).iter().sum::<usize>();
    assert!(count >= 150, "{count} documents");
}
