//! What a sandboxed session reaches and what it does not, with real namespaces: a world of its own for each test, in
//! which a public address answers. Only root can make such a world; for others nothing is reachable, and that is looked
//! at all the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod keeper_house;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use keeper_house::{House, comm, exit_of, kill, printed, processes, program, until, until_printed};
use niia_actors::keeper::{Program, Terminal};
use niia_actors::network::{Forward, Kind, Rules, contacts};
use niia_actors::sandbox::{Listen, Policy, RunAs};
use niia_spec::course::Access;

/// A user without a name on any machine.
const GUEST: RunAs = RunAs { uid: 61_234, gid: 61_234 };
/// Kept for examples, routed by nobody.
const PUBLIC: &str = "203.0.113.5";
const HOSTS: &str = "127.0.0.1 localhost\n203.0.113.5 good.test\n10.1.2.3 private.test\n";

/// Says what the proxy answers to a request for a host, and leaves the connection open as descriptor 3.
const ASK: &str = r#"ask() { exec 3<>/dev/tcp/127.0.0.1/3128 || { echo "$1: nobody"; return; }
    printf 'CONNECT %s HTTP/1.1\r\n\r\n' "$1" >&3; IFS= read -r line <&3; echo "$1: ${line%$'\r'}"
    IFS= read -r line <&3; }
"#;

/// Gives the thread, and all that it starts, a network and a list of hosts of its own.
fn enter_world(folder: &Path) -> bool {
    if !rustix::process::geteuid().is_root() {
        return false;
    }
    use rustix::thread::{UnshareFlags, unshare_unsafe};
    // SAFETY: neither flag takes the table of descriptors apart, which is what other threads could stumble over.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }.unwrap();
    let (hosts, names) = (folder.join("hosts"), folder.join("resolv.conf"));
    std::fs::write(&hosts, HOSTS).unwrap();
    std::fs::write(&names, "").unwrap();
    for line in [
        "mount --make-rprivate /".to_owned(),
        format!("mount --bind {} /etc/hosts", hosts.display()),
        format!("mount --bind {} /etc/resolv.conf", names.display()),
        "ip link set lo up".to_owned(),
        format!("ip address add {PUBLIC}/32 dev lo"),
    ] {
        let mut words = line.split(' ');
        assert!(Command::new(words.next().unwrap()).args(words).status().unwrap().success(), "{line}");
    }
    true
}

/// The first message of TLS for this name, as `printf` takes it.
fn hello(name: &str) -> String {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let entry = [&[0][..], &sized(name.as_bytes())].concat();
    let extensions = [&[0, 0][..], &sized(&sized(&entry))].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &sized(&extensions)].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
    let record = [&[22, 3, 1][..], &sized(&message)].concat();
    record.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// A server that counts aloud to everybody, a line at a time, until the test lets go of it.
fn count(listener: TcpListener, stop: Receiver<()>) {
    let (mut client, _) = listener.accept().unwrap();
    let mut first = [0; 5];
    client.read_exact(&mut first).unwrap();
    assert_eq!(first[0], 22, "TLS begins with a handshake");
    for number in 1.. {
        if client.write_all(format!("{number}\n").as_bytes()).is_err() {
            return;
        }
        if !matches!(
            stop.recv_timeout(Duration::from_millis(10)),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        ) {
            return;
        }
    }
}

struct Scene {
    house: House,
    policy: Policy,
    rules: Rules,
    has_world: bool,
}

impl Scene {
    fn new(hosts: &[&str], forwards: Vec<Forward>) -> Scene {
        let house = House::new();
        let has_world = enter_world(house.folder.path());
        let work = house.folder.path().canonicalize().unwrap().join("work");
        std::fs::create_dir(&work).unwrap();
        let rules = Rules::new(hosts.iter().copied(), forwards).unwrap();
        let listen = rules.ports().into_iter().map(|port| Listen { port }).collect();
        let run_as = has_world.then_some(GUEST);
        Scene {
            policy: Policy { write: vec![work], run_as, listen, ..Policy::default() },
            house,
            rules,
            has_world,
        }
    }

    fn program(&self, script: &str) -> Program {
        let shell = program(&["/bin/bash", "--norc", "-c", &format!("{ASK}{script}")]);
        Program {
            sandbox: Some(self.policy.clone()),
            reach: Some(self.rules.clone()),
            cwd: self.policy.write[0].clone(),
            env: vec![("PATH".into(), "/usr/bin:/bin".into()), ("TERM".into(), "xterm".into())],
            ..shell
        }
    }

    async fn start(&self, name: &str, script: &str) -> Terminal {
        self.house.keeper.start(&self.house.session(name), &self.program(script)).await.unwrap()
    }

    async fn says(&self, name: &str, script: &str) -> String {
        let terminal = self.start(name, script).await;
        exit_of(&terminal).await;
        terminal.acknowledge().await;
        text_of(&terminal)
    }

    fn carrier(&self, name: &str) -> Option<u32> {
        let folder = std::fs::canonicalize(self.house.session(name)).unwrap();
        let mut found = processes().into_iter().filter(|pid| {
            std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == folder)
                && comm(*pid) == "niia-carrier"
        });
        found.next()
    }
}

fn text_of(terminal: &Terminal) -> String {
    String::from_utf8_lossy(&printed(terminal.folder())).replace("\r\n", "\n")
}

#[tokio::test]
async fn a_session_reaches_the_hosts_it_names_and_nothing_else_by_any_way() {
    let scene = Scene::new(&["good.test", "private.test", "unknown.test"], Vec::new());
    let server = scene.has_world.then(|| TcpListener::bind((PUBLIC, 443)).unwrap());
    let script = r#"
        for host in good.test:443 evil.test:443 private.test:443 unknown.test:443 203.0.113.5:443 good.test:80 localhost:443; do ask "$host"; done
        (exec 4<>/dev/tcp/203.0.113.5/443) 2>/dev/null && echo raw open || echo raw closed
        (exec 4<>/dev/udp/203.0.113.5/53 && echo x >&4) 2>/dev/null && echo udp open || echo udp closed
        getent hosts good.test >/dev/null && (exec 4<>/dev/tcp/good.test/443) 2>/dev/null && echo name open
        perl -MIO::Socket::INET -e 'print IO::Socket::INET->new(Listen => 1, LocalAddr => "127.0.0.1:3128", ReuseAddr => 1, ReusePort => 1) ? "stolen\n" : "kept\n"'
        exec 3<>/dev/tcp/127.0.0.1/3128; printf 'GET http://good.test/ HTTP/1.1\r\n\r\n' >&3; head -1 <&3
    "#;
    let text = scene.says("ask", script).await;
    let good = if scene.has_world { "good.test:443: HTTP/1.1 200 " } else { "good.test:443: HTTP/1.1 502 " };
    for line in [
        good,
        "evil.test:443: HTTP/1.1 403 ",
        "unknown.test:443: HTTP/1.1 502 ",
        "203.0.113.5:443: HTTP/1.1 403 ",
        "good.test:80: HTTP/1.1 403 ",
        "localhost:443: HTTP/1.1 403 ",
        "raw closed",
        "udp closed",
        "kept",
        "HTTP/1.1 405 ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains("name open"), "{text}");
    if scene.has_world {
        assert!(text.contains("private.test:443: HTTP/1.1 403 "), "{text}");
    }
    drop(server);
    let contacts = contacts(&scene.house.session("ask"));
    let refused = contacts.iter().find(|contact| contact.host == "evil.test").unwrap();
    assert_eq!((refused.verdict, refused.count), (Access::Refused, 1));
    assert!(refused.why.contains("do not name it"), "{refused:?}");
    assert_eq!(scene.carrier("ask"), None, "it ends with its session");
}

#[tokio::test]
async fn what_streams_goes_on_when_the_node_and_the_keeper_are_gone() {
    let mut scene = Scene::new(&["good.test"], Vec::new());
    if !scene.has_world {
        return assert!(scene.says("ask", "ask good.test:443").await.contains("502"));
    }
    let listener = TcpListener::bind((PUBLIC, 443)).unwrap();
    let (stop, stopped) = channel();
    let server = std::thread::spawn(move || count(listener, stopped));
    let script = format!(
        "ask good.test:443; printf '{}' >&3; while IFS= read -r n <&3; do echo \"got $n\"; done; echo closed",
        hello("good.test")
    );
    let terminal = scene.start("stream", &script).await;
    until_printed(&terminal, "got 5").await;
    let folder = terminal.folder().to_owned();
    drop(terminal);
    kill(scene.house.keeper_pid(), libc::SIGKILL);
    scene.house.forget_keeper();
    let lines = || String::from_utf8_lossy(&printed(&folder)).matches("got ").count();
    let before = lines();
    until("fifty more lines have come", || lines() > before + 50);
    drop(stop);
    server.join().unwrap();
    until("the program has heard the end", || String::from_utf8_lossy(&printed(&folder)).contains("closed"));
    let niia_actors::keeper::Opened::Live(terminal) = Terminal::open(&folder).await.unwrap() else {
        let exit = niia_actors::recording::Recording::open(&folder).unwrap().exit().unwrap();
        return assert!(exit.is_some());
    };
    exit_of(&terminal).await;
    terminal.acknowledge().await;
    assert_eq!(contacts(&folder)[0].verdict, Access::Allowed);
}

#[tokio::test]
async fn a_carrier_that_is_killed_is_replaced_and_one_whose_minder_is_killed_goes_with_it() {
    let scene = Scene::new(&["good.test"], Vec::new());
    let script = "ask evil.test:443; read -r; ask evil.test:443; echo again; sleep 600";
    let terminal = scene.start("kill", script).await;
    until_printed(&terminal, "403").await;
    let first = scene.carrier("kill").unwrap();
    kill(first, libc::SIGKILL);
    until("there is another one", || scene.carrier("kill").is_some_and(|other| other != first));
    let mut written = 0;
    terminal.write_all(b"\n", &mut written).await.unwrap();
    until_printed(&terminal, "again").await;
    let text = text_of(&terminal);
    assert_eq!(text.matches("HTTP/1.1 403").count(), 2, "{text}");
    kill(scene.house.minder_pid("kill"), libc::SIGKILL);
    until("nobody carries any more", || scene.carrier("kill").is_none());
}

#[tokio::test]
async fn a_local_model_is_asked_through_the_gateway_and_nothing_else_of_this_machine_is_reached() {
    let forward = Forward { port: 11434, kind: Kind::Model { model: Some("llama3".to_owned()) } };
    let scene = Scene::new(&[], vec![forward]);
    let script = r#"
        say() { exec 3<>/dev/tcp/127.0.0.1/11434; printf '%s\r\nContent-Length: 18\r\n\r\n{"model":"llama3"}' "$1" >&3; head -1 <&3; }
        say 'POST /api/pull HTTP/1.1'; say 'POST /api/chat HTTP/1.1'
        (exec 4<>/dev/tcp/127.0.0.1/3128) 2>/dev/null && echo proxy || echo no proxy
    "#;
    let server = scene.has_world.then(|| TcpListener::bind("127.0.0.1:11434").unwrap());
    let answering = server.map(|server| {
        std::thread::spawn(move || {
            let (mut client, _) = server.accept().unwrap();
            let mut asked = [0; 9];
            client.read_exact(&mut asked).unwrap();
            client.write_all(b"HTTP/1.1 299 Asked\r\n\r\n").unwrap();
            asked
        })
    });
    let text = scene.says("model", script).await;
    let asked = if scene.has_world { "HTTP/1.1 299 Asked" } else { "HTTP/1.1 50" };
    for line in ["HTTP/1.1 403 ", asked, "no proxy"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    if let Some(answering) = answering {
        assert_eq!(&answering.join().unwrap(), b"POST /api");
    }
}
