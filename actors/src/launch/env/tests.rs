use super::*;

fn caller() -> BTreeMap<String, String> {
    BTreeMap::from([("A".to_owned(), "1".to_owned()), ("EMPTY".to_owned(), String::new())])
}

fn expanded(text: &str) -> Result<String, String> {
    let mut missing = Vec::new();
    let value =
        expand(text, &caller(), "session.env.X", &mut missing, 0).map_err(|error| error.to_string())?;
    match missing.is_empty() {
        true => Ok(value),
        false => Err(EnvError::Missing { missing }.to_string()),
    }
}

#[test]
fn variables_are_filled_in_from_where_the_run_was_started() {
    for (text, value) in [
        ("plain", "plain"),
        ("${A}", "1"),
        ("a${A}b${A}c", "a1b1c"),
        ("${B:-two}", "two"),
        ("${A:-two}", "1"),
        ("${EMPTY}", ""),
        ("${EMPTY:-two}", "two"),
        ("${B:-}", ""),
        ("${B:-${A}}", "1"),
        ("${B:-${C:-three}}!", "three!"),
        ("$A and $ and {A}", "$A and $ and {A}"),
        ("$${A}", "${A}"),
    ] {
        assert_eq!(expanded(text), Ok(value.to_owned()), "{text}");
    }
}

#[test]
fn what_is_missing_or_malformed_is_an_error_that_names_it() {
    for (text, error) in [
        ("${B}", "not set where the run was started: `B` (for `session.env.X`)"),
        (
            "${B}${C}",
            "not set where the run was started: `B` (for `session.env.X`), `C` (for `session.env.X`)",
        ),
        ("a${A", "`session.env.X`: `${A` is no `${NAME}` nor `${NAME:-default}`"),
        ("${}", "`session.env.X`: `${}` is no `${NAME}` nor `${NAME:-default}`"),
        ("${A-b}", "`session.env.X`: `${A-b}` is no `${NAME}` nor `${NAME:-default}`"),
    ] {
        assert_eq!(expanded(text), Err(error.to_owned()), "{text}");
    }
    assert!(expanded(&"${B:-".repeat(100)).is_err());
    assert!(expanded(&format!("{}x{}", "${B:-".repeat(100), "}".repeat(100))).is_err());
}

#[test]
fn secrets_are_known_by_name_or_by_value() {
    let key = format!("sk-ant-{}", "aB3dE5fG7hJ9kL2mN4pQ6rS8tU1vW".repeat(2));
    for (name, value) in [
        ("GITHUB_TOKEN", "x"),
        ("OPENAI_API_KEY", "x"),
        ("db_password", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("DB_PWD", "x"),
        ("ANYTHING", key.as_str()),
        ("DATABASE_URL", "postgres://ada:lovelace@db/engine"),
    ] {
        assert!(is_secret(name, value), "{name}={value}");
    }
    for (name, value) in [
        ("PATH", "/bin"),
        ("PWD", "/home"),
        ("GIT_CONFIG_KEY_0", "core.excludesFile"),
        ("KEYBOARD", "de"),
        ("MONKEY", "yes"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("API_TOKEN", ""),
        ("HOMEPAGE", "https://example.org/a:b@c"),
    ] {
        assert!(!is_secret(name, value), "{name}={value}");
    }
}
