//! Plugins of the user's own. They are shell scripts here, which edit the one line of JSON they are given.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use niia_actors::launch::{Launch, external};
use niia_spec::plan::{Permission, SandboxPlan};

use crate::session::Session;

fn plugin(folder: &Path, name: &str, script: &str) {
    let file = folder.join(name);
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What one plugin makes of a usual launch.
fn asked(script: &str) -> Result<(Launch, Launch), String> {
    let session = Session::new(|plan| drop(plan.env.insert("KEPT".to_owned(), "value".to_owned())));
    let folder = tempfile::tempdir().unwrap();
    plugin(folder.path(), "mine", script);
    let before = session.launch();
    let after = external::apply(before.clone(), folder.path(), &["mine".to_owned()]);
    after.map(|after| (before, after)).map_err(|error| error.to_string())
}

#[test]
fn a_plugin_that_changes_nothing_changes_nothing() {
    let (before, after) = asked("cat").unwrap();
    assert_eq!(before, after);
}

#[test]
fn a_plugin_may_narrow_wrap_and_add() {
    let (_, after) = asked(r#"sed 's/"argv":\["true"\]/"argv":["nice","-n","10","true"]/'"#).unwrap();
    assert_eq!(after.argv, ["nice", "-n", "10", "true"]);
    let (_, after) =
        asked(r#"sed 's/"timeout_ms":60000/"timeout_ms":1000/; s/"workspace-write"/"read-only"/'"#).unwrap();
    assert_eq!((after.timeout_ms, after.permission), (1000, Permission::ReadOnly));
    let (_, after) = asked(r#"sed 's/"KEPT":"value"/"ADDED":"new"/'"#).unwrap();
    assert_eq!((after.env.get("KEPT"), &*after.env["ADDED"]), (None, "new"));
    let (before, after) = asked(r#"sed 's|/trees/one","cols":120|/trees/one/src","cols":80|'"#).unwrap();
    assert_eq!((after.cwd, after.cols), (before.cwd.join("src"), 80));
}

#[test]
fn a_plugin_may_widen_nothing_and_is_named_with_the_field() {
    for (field, script) in [
        ("argv", r#"s/"argv":\["true"\]/"argv":["evil"]/"#),
        ("argv", r#"s/"argv":\["true"\]/"argv":["true","more"]/"#),
        ("timeout_ms", r#"s/"timeout_ms":60000/"timeout_ms":60001/"#),
        ("timeout_ms", r#"s/"timeout_ms":60000/"timeout_ms":0/"#),
        ("permission", r#"s/"workspace-write"/"full"/"#),
        ("cwd", r#"s|/trees/one","cols"|/trees/one/../two","cols"|"#),
        ("cwd", r#"s|"cwd":"[^"]*"|"cwd":"/"|"#),
        ("record", r#"s/"record":true/"record":false/"#),
        ("env.KEPT", r#"s/"KEPT":"value"/"KEPT":"other"/"#),
        ("env.LD_PRELOAD", r#"s/"KEPT":"value"/"LD_PRELOAD":"evil.so"/"#),
        ("env.GIT_CONFIG_COUNT", r#"s/"GIT_CONFIG_COUNT":"1"/"X":"1"/"#),
        ("env.NIIA_SCRATCHPAD", r#"s/"NIIA_SCRATCHPAD"/"X"/"#),
        ("scratchpad", r#"s|"scratchpad":"[^"]*pad"|"scratchpad":"/etc"|"#),
        ("preparations", r#"s/"preparations":\[.*\]/"preparations":[]/"#),
        ("git_settings", r#"s/"git_settings":\[\[.*\]\]/"git_settings":[]/"#),
        ("session", r#"s/"phase":"build"/"phase":"other"/"#),
        ("ports", r#"s/"ports":\[\]/"ports":[22]/"#),
    ] {
        let error = asked(&format!("sed '{script}'")).unwrap_err();
        assert_eq!(error, format!("plugin `mine` may not widen `{field}`"), "{script}");
    }
}

#[test]
fn a_plugin_that_asks_for_a_sandbox_gets_one() {
    let sandbox = serde_json::to_string(&SandboxPlan::default()).unwrap();
    let (_, after) = asked(&format!(r#"sed 's/"sandbox":null/"sandbox":{sandbox}/'"#)).unwrap();
    assert_eq!(after.sandbox, Some(SandboxPlan::default()));
}

#[test]
fn a_plugin_that_fails_babbles_or_hangs_is_named() {
    for (script, expected) in [
        ("echo oh no >&2; exit 3", "plugin `mine` failed with exit code 3: oh no"),
        ("echo hello", "plugin `mine` did not print a launch"),
        ("cat; echo more", "plugin `mine` did not print a launch"),
        ("cat > /dev/null; head -c 2000000 /dev/zero", "plugin `mine` printed more than 1048576 bytes"),
        (r#"sed 's/"argv"/"unknown":1,"argv"/'"#, "plugin `mine` did not print a launch"),
        ("kill -9 $$", "plugin `mine` failed with signal 9: "),
    ] {
        assert_eq!(asked(script).unwrap_err(), expected, "{script}");
    }
}

#[test]
fn a_plugin_that_hangs_is_ended_with_its_children() {
    assert_eq!(asked("sleep 600 & sleep 600").unwrap_err(), "plugin `mine` took longer than 5s");
}

#[test]
fn a_plugin_is_a_file_of_the_folder_and_nothing_else() {
    let session = Session::new(|_| {});
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("text"), "no program").unwrap();
    let said = |name: &str| {
        external::apply(session.launch(), folder.path(), &[name.to_owned()]).unwrap_err().to_string()
    };
    for name in ["../../bin/cat", "/bin/cat", "", "..", ".hidden"] {
        assert_eq!(
            said(name),
            format!("plugin `{name}`: a plugin is the name of a file in the plugin folder")
        );
    }
    assert!(said("absent").ends_with("absent` is not there or not executable"));
    assert!(said("text").ends_with("text` is not there or not executable"));
}

#[test]
fn plugins_are_asked_one_after_the_other() {
    let session = Session::new(|_| {});
    let folder = tempfile::tempdir().unwrap();
    plugin(folder.path(), "first", r#"sed 's/"argv":\["true"\]/"argv":["a","true"]/'"#);
    plugin(folder.path(), "second", r#"sed 's/"argv":\["a","true"\]/"argv":["b","a","true"]/'"#);
    let names = ["first".to_owned(), "second".to_owned()];
    let after = external::apply(session.launch(), folder.path(), &names).unwrap();
    assert_eq!(after.argv, ["b", "a", "true"]);
}
