//! Having the node started at login, by systemd or launchd.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{Caller, say};
use crate::failure::{Exit, Failure};

/// What is written where, and what makes it count.
struct Unit {
    path: PathBuf,
    text: String,
    activate: Vec<Vec<String>>,
}

pub fn install(caller: &Caller, print: bool) -> Result<Exit, Failure> {
    let program =
        env::current_exe().map_err(|error| Failure::trouble("could not find this program", error))?;
    let home = env::var_os("HOME").map(PathBuf::from);
    let home = home.ok_or_else(|| Failure::usage("HOME is not set, so there is no place for the unit"))?;
    let unit = if cfg!(target_os = "macos") {
        launchd(&program, &home, &caller.folders.state)
    } else {
        systemd(&program, &home, &caller.folders.state)
    };
    if print {
        say(&format!("# {}\n{}", unit.path.display(), unit.text))?;
        return Ok(Exit::Done);
    }
    if !cfg!(target_os = "macos") {
        check_linger()?;
    }
    write(&unit)?;
    for command in &unit.activate {
        activate(command)?;
    }
    say(&format!("`{}` is written, and the node is started at login\n", unit.path.display()))?;
    Ok(Exit::Done)
}

/// Whether the node is started at login.
pub fn is_installed() -> bool {
    let Some(home) = env::var_os("HOME").map(PathBuf::from) else { return false };
    let nowhere = Path::new("");
    let unit = if cfg!(target_os = "macos") {
        launchd(nowhere, &home, nowhere)
    } else {
        systemd(nowhere, &home, nowhere)
    };
    unit.path.is_file()
}

fn systemd(program: &Path, home: &Path, state: &Path) -> Unit {
    let config = env::var_os("XDG_CONFIG_HOME").map_or_else(|| home.join(".config"), PathBuf::from);
    // KillMode=process: the keeper and the sessions outlive a restart of the node.
    let text = format!(
        "[Unit]\nDescription=niia node\n\n[Service]\nExecStart=\"{}\" daemon run --state \"{}\"\nKillMode=process\n\
         Delegate=yes\nRestart=on-failure\n\n[Install]\nWantedBy=default.target\n",
        systemd_word(program),
        systemd_word(state),
    );
    let word = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Unit {
        path: config.join("systemd/user/niia.service"),
        text,
        activate: vec![
            word(&["systemctl", "--user", "daemon-reload"]),
            word(&["systemctl", "--user", "enable", "--now", "niia.service"]),
        ],
    }
}

/// A path within the quotes of a unit file.
fn systemd_word(path: &Path) -> String {
    path.display()
        .to_string()
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('%', "%%")
        .replace('$', "$$")
}

fn launchd(program: &Path, home: &Path, state: &Path) -> Unit {
    let path = home.join("Library/LaunchAgents/niia.node.plist");
    let escape = |path: &Path| path.display().to_string().replace('&', "&amp;").replace('<', "&lt;");
    // AbandonProcessGroup: the keeper and the sessions outlive a restart of the node.
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<plist version=\"1.0\"><dict>\n\
         <key>Label</key><string>niia.node</string>\n\
         <key>ProgramArguments</key><array><string>{}</string><string>daemon</string><string>run</string>\
         <string>--state</string><string>{}</string></array>\n\
         <key>RunAtLoad</key><true/>\n<key>AbandonProcessGroup</key><true/>\n\
         <key>KeepAlive</key><dict><key>SuccessfulExit</key><false/></dict>\n</dict></plist>\n",
        escape(program),
        escape(state),
    );
    let load = ["launchctl".to_owned(), "load".to_owned(), "-w".to_owned(), path.display().to_string()];
    Unit { path, text, activate: vec![load.to_vec()] }
}

/// Without lingering a user's services end with the last login, and runs with them.
fn check_linger() -> Result<(), Failure> {
    let user = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_default();
    let asked = Command::new("loginctl").args(["show-user", &user, "--property=Linger", "--value"]).output();
    match asked {
        Ok(answer) if answer.status.success() && String::from_utf8_lossy(&answer.stdout).trim() == "yes" => {
            Ok(())
        }
        Ok(_) => {
            Err(Failure::new(Exit::Failed, "the node would end with your last login; nothing was written")
                .help(format!("`loginctl enable-linger {user}`, then try again")))
        }
        Err(error) => Err(Failure::trouble("could not run loginctl: is there no systemd here?", error)
            .help("`niia daemon install --print` shows the unit for another supervisor")),
    }
}

fn write(unit: &Unit) -> Result<(), Failure> {
    let trouble = |error| Failure::trouble(format!("could not write `{}`", unit.path.display()), error);
    if let Some(folder) = unit.path.parent() {
        fs::create_dir_all(folder).map_err(trouble)?;
    }
    fs::write(&unit.path, &unit.text).map_err(trouble)
}

fn activate(words: &[String]) -> Result<(), Failure> {
    let Some((program, arguments)) = words.split_first() else { return Ok(()) };
    let command = words.join(" ");
    let status = Command::new(program).args(arguments).status();
    let status = status.map_err(|error| Failure::trouble(format!("could not run `{command}`"), error))?;
    if status.success() {
        Ok(())
    } else {
        Err(Failure::new(Exit::Failed, format!("`{command}` ended with {status}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unit_lets_sessions_outlive_the_node_and_quotes_its_paths() {
        let unit = systemd(Path::new("/opt/my tools/niia"), Path::new("/home/a"), Path::new("/s/100%"));
        assert!(unit.text.contains("ExecStart=\"/opt/my tools/niia\" daemon run --state \"/s/100%%\"\n"));
        assert!(unit.text.contains("KillMode=process\n") && unit.text.contains("Delegate=yes\n"));
        let agent = launchd(Path::new("/opt/a&b"), Path::new("/Users/a"), Path::new("/s"));
        assert!(
            agent.text.contains("<string>/opt/a&amp;b</string>")
                && agent.text.contains("AbandonProcessGroup")
        );
    }
}
