use super::*;

fn read(text: &str) -> Result<Config, String> {
    Config::from_toml(text, Path::new("niia.toml")).map_err(|error| error.to_string())
}

#[test]
fn settings_are_read_as_written() {
    let config =
        read("sessions_max = 8\nnotify = [\"notify-send\", \"niia\"]\ndetach_key = \"ctrl-]\"\n").unwrap();
    assert_eq!(config.sessions_max, Some(8));
    assert_eq!(config.notify, ["notify-send", "niia"]);
    assert_eq!(config.detach_key, Some(DetachKey("ctrl-]".parse().unwrap())));
}

#[test]
fn a_wrong_setting_is_named_with_its_line_and_column() {
    let error = read("sessions_max = 8\nsesions = 3\n").unwrap_err();
    assert!(error.starts_with("niia.toml:2:1: unknown field `sesions`"), "{error}");
    let error = read("\nsessions_max = \"many\"\n").unwrap_err();
    assert!(error.starts_with("niia.toml:2:16: invalid type"), "{error}");
    let error = read("detach_key = \"enter\"").unwrap_err();
    assert!(error.contains("`enter` is no prefix key"), "{error}");
    assert!(read("detach_key = \"ctrl-m\"").is_err(), "every session needs Enter");
}

#[test]
fn a_settings_file_without_end_is_refused_by_its_bound() {
    let folder = tempfile::tempdir().unwrap();
    let folders = Folders { state: folder.path().into(), config: folder.path().into() };
    fs::write(folder.path().join("niia.toml"), vec![b'#'; CONFIG_BYTES_MAX as usize + 1]).unwrap();
    assert!(matches!(Config::read(&folders), Err(ConfigError::TooLong { .. })));
}

#[test]
fn plugins_are_the_executables_of_their_folder_and_profiles_its_toml_files() {
    let folder = tempfile::tempdir().unwrap();
    let folders = Folders { state: folder.path().into(), config: folder.path().into() };
    assert!(user_plugins(&folders).unwrap().is_empty());
    for name in ["plugins", "profiles"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    fs::write(folder.path().join("plugins/notes.txt"), "no program").unwrap();
    let program = folder.path().join("plugins/narrow");
    fs::write(&program, "#!/bin/sh\ncat\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(folder.path().join("profiles/mine.toml"), "x = 1").unwrap();
    fs::write(folder.path().join("profiles/README"), "no profile").unwrap();
    assert_eq!(user_plugins(&folders).unwrap().into_keys().collect::<Vec<_>>(), ["narrow"]);
    assert_eq!(user_profiles(&folders).unwrap(), [("mine.toml".to_owned(), "x = 1".to_owned())]);
}
