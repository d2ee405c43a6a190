//! Proof, both ways, that a sandbox can be had here: what is allowed works, what is denied does not.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{EntryError, Layers, Made, Policy, RunAs, command};
use crate::network::PROXY_PORT;
use crate::network::rehearsal::Rehearsal;

/// Says one word for each thing it could do.
const SCRIPT: &str = r#"
echo inside > "$PROBE/tree/allowed" && echo wrote-allowed
echo outside 2>/dev/null > "$PROBE/denied" && echo wrote-denied
[ -s "$PROBE/secret/key" ] && echo read-secret
exec 3<>/dev/tcp/127.0.0.1/"$PROBE_PORT" && echo reached-machine
exec 4<>/dev/tcp/127.0.0.1/1 && echo reached-listener
kill -0 "$PROBE_PID" && echo saw-process
ask() {
    exec 5<>/dev/tcp/127.0.0.1/3128 && printf 'CONNECT %s:443 HTTP/1.1\r\n\r\n' "$1" >&5 &&
        read -r -t 10 line <&5 && case $line in *" 200 "*) echo "$2" ;; esac
    exec 5>&-
}
ask allowed.example reached-host
ask denied.example reached-other-host
:
"#;
const SHELL: &str = "/bin/bash";

/// What was tried, and what came of it.
#[derive(Clone, Debug)]
pub struct Proof {
    pub made: Made,
    /// What was allowed and did not work, or was denied and did.
    pub wrong: Vec<String>,
}

impl Proof {
    pub fn layers(&self) -> &Layers {
        &self.made.layers
    }
}

/// Tries a sandbox in a new folder below `folder`, which is removed afterwards. `helper` is the executable that can be one.
pub fn prove(helper: &Path, folder: &Path, run_as: Option<RunAs>) -> Result<Proof, EntryError> {
    let place = folder.join(format!("sandbox-{}", std::process::id()));
    let proof = try_in(helper, &place, run_as);
    // What stays is a few bytes in a folder of niia's own.
    let _ = fs::remove_dir_all(&place);
    proof
}

fn try_in(helper: &Path, place: &Path, run_as: Option<RunAs>) -> Result<Proof, EntryError> {
    let policy = scene(place, run_as).map_err(EntryError::Line)?;
    let _service = UnixListener::bind(place.join("secret/socket")).map_err(EntryError::Line)?;
    let machine = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(EntryError::Line)?;
    let port = machine.local_addr().map_err(EntryError::Line)?.port();
    let env = [
        ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
        ("PROBE".to_owned(), place.display().to_string()),
        ("PROBE_PORT".to_owned(), port.to_string()),
        ("PROBE_PID".to_owned(), std::process::id().to_string()),
    ];
    let (mut command, line) =
        command(helper, &policy, &[SHELL, "-c", SCRIPT], env).map_err(EntryError::Line)?;
    command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let child = command.spawn().map_err(EntryError::Line)?;
    let begun = line.begun(command);
    let entered = begun.made().and_then(|(made, mut listeners)| {
        let proxy = listeners.pop().ok_or(EntryError::Lost)?;
        let rehearsal = Rehearsal::begin(proxy, port, place).map_err(EntryError::Line)?;
        begun.go().map(|()| (made, listeners, rehearsal))
    });
    let output = child.wait_with_output().map_err(EntryError::Line);
    let (made, _listeners, _rehearsal) = entered?;
    let said = String::from_utf8_lossy(&output?.stdout).into_owned();
    Ok(Proof { made, wrong: judge(&said, place) })
}

fn scene(place: &Path, run_as: Option<RunAs>) -> io::Result<Policy> {
    for part in ["tree", "secret"] {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(place.join(part))?;
    }
    let place: PathBuf = fs::canonicalize(place)?;
    fs::write(place.join("secret/key"), "secret")?;
    fs::write(place.join("denied"), "")?;
    Ok(Policy {
        write: vec![place.join("tree")],
        read_only: vec![place.join("denied")],
        hidden: vec![place.join("secret")],
        listen: vec![super::Listen { port: 1 }, super::Listen { port: PROXY_PORT }],
        run_as,
        ..Policy::default()
    })
}

/// What should have been said and was not, or the other way round.
fn judge(said: &str, place: &Path) -> Vec<String> {
    let did = |word: &str| said.lines().any(|line| line == word);
    let on_disk = |name: &str| fs::read_to_string(place.join(name)).unwrap_or_default();
    let mut wrong = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            wrong.push(what.to_owned());
        }
    };
    expect(did("wrote-allowed") && on_disk("tree/allowed") == "inside\n", "an allowed write did not land");
    expect(!did("wrote-denied") && on_disk("denied").is_empty(), "a denied write landed");
    expect(!did("read-secret"), "a hidden file could be read");
    expect(did("reached-listener"), "the session's own listener could not be reached");
    expect(!did("reached-machine"), "a port of the machine could be reached");
    expect(did("reached-host"), "an allowed host did not answer");
    expect(!did("reached-other-host"), "a host that is not allowed could be reached");
    expect(!did("saw-process"), "a process of the machine could be seen");
    wrong
}
