//! `niia profile try` with the real tools: in plain words what is wrong, when something is.

use std::time::Duration;

use niia_tests::stub::Failure;

use super::tool::tool;

#[test]
fn a_refused_key_is_said_in_plain_words_by_a_try() {
    let Some(tool) = tool("claude") else { return };
    let tried =
        || tool.niia(&["profile", "try", "claude", "--timeout", "60"]).limit(Duration::from_secs(110)).run();
    tool.stub.fail(Failure::by_word("401"));
    let said = tried();
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.out.contains("it is not logged in, or its key is not valid"), "{said:?}");
    tool.stub.fail(None);
    let said = tried().exits(0);
    assert!(said.out.contains("claude works here"), "{said:?}");
}
