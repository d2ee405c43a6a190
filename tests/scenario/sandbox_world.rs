//! A world for one test: a network in which public and private addresses answer, and a list of hosts. Only root can make
//! one. And what a sandboxed session can do there by its proxy: reach the host it named, and by no trick another one.

use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use niia_tests::{House, Walls, wait_until};
use serde_json::json;
use tempfile::TempDir;

use super::SOON;

/// Kept for examples, routed by nobody.
pub const PUBLIC: &str = "203.0.113.5";
const OTHER: &str = "203.0.113.6";
const PRIVATE: &str = "10.1.2.3";
const HOSTS: &str = "127.0.0.1 localhost\n203.0.113.5 good.test\n203.0.113.6 evil.test\n203.0.113.6 good.test.evil.test\n\
     203.0.113.6 xgood.test\n10.1.2.3 private.test\n127.0.0.1 local.test\n::ffff:10.1.2.3 mapped.test\n";

/// The world this thread, and all that it starts, is in until its end.
#[derive(Debug)]
pub struct World {
    _folder: TempDir,
}

impl World {
    pub fn enter() -> World {
        use rustix::thread::{UnshareFlags, unshare_unsafe};
        let folder = tempfile::tempdir().unwrap();
        // SAFETY: neither flag takes the table of descriptors apart, which is what other threads could stumble over.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }.unwrap();
        let (hosts, names) = (folder.path().join("hosts"), folder.path().join("resolv.conf"));
        std::fs::write(&hosts, HOSTS).unwrap();
        std::fs::write(&names, "").unwrap();
        let mut lines = vec![
            "mount --make-rprivate /".to_owned(),
            format!("mount --bind {} /etc/hosts", hosts.display()),
            format!("mount --bind {} /etc/resolv.conf", names.display()),
            "ip link set lo up".to_owned(),
        ];
        lines.extend([PUBLIC, OTHER, PRIVATE].map(|address| format!("ip address add {address}/32 dev lo")));
        for line in lines {
            let mut words = line.split(' ');
            assert!(Command::new(words.next().unwrap()).args(words).status().unwrap().success(), "{line}");
        }
        World { _folder: folder }
    }
}

/// The first message of TLS for this name, as `printf` takes it.
pub fn hello(name: &str) -> String {
    let sized = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let entry = [&[0][..], &sized(name.as_bytes())].concat();
    let extensions = [&[0, 0][..], &sized(&sized(&entry))].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &sized(&extensions)].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1, length[1], length[2], length[3]][..], &body].concat();
    let record = [&[22, 3, 1][..], &sized(&message)].concat();
    record.iter().map(|byte| format!("\\x{byte:02x}")).collect()
}

/// Where nobody may get to, and how often somebody did.
fn listen(address: &str, port: u16) -> Arc<AtomicUsize> {
    let heard = Arc::new(AtomicUsize::new(0));
    let (listener, counted) = (TcpListener::bind((address, port)).unwrap(), Arc::clone(&heard));
    std::thread::spawn(move || {
        while listener.accept().is_ok() {
            counted.fetch_add(1, Ordering::AcqRel);
        }
    });
    heard
}

/// Targets of `CONNECT`, and headers, that are to lead past the one host that is public and named.
const TRICKS: [&str; 24] = [
    "CONNECT evil.test:443 HTTP/1.1",
    "CONNECT 203.0.113.6:443 HTTP/1.1",
    "CONNECT 203.0.113.5:443 HTTP/1.1",
    "CONNECT 3405803782:443 HTTP/1.1",
    "CONNECT 0xcb007106:443 HTTP/1.1",
    "CONNECT [::ffff:203.0.113.6]:443 HTTP/1.1",
    "CONNECT 127.0.0.1:443 HTTP/1.1",
    "CONNECT localhost:443 HTTP/1.1",
    "CONNECT private.test:443 HTTP/1.1",
    "CONNECT mapped.test:443 HTTP/1.1",
    "CONNECT local.test:443 HTTP/1.1",
    "CONNECT good.test:22 HTTP/1.1",
    "CONNECT good.test:80 HTTP/1.1",
    "CONNECT good.test:443:22 HTTP/1.1",
    "CONNECT xgood.test:443 HTTP/1.1",
    "CONNECT good.test.evil.test:443 HTTP/1.1",
    "CONNECT good.test@evil.test:443 HTTP/1.1",
    "CONNECT evil.test#good.test:443 HTTP/1.1",
    "CONNECT evil.test/good.test:443 HTTP/1.1",
    "CONNECT evil.test%00good.test:443 HTTP/1.1",
    "CONNECT evil.test\\tgood.test:443 HTTP/1.1",
    "GET http://evil.test/ HTTP/1.1",
    "CONNECT evil.test:443 HTTP/1.1\\r\\nHost: good.test:443",
    "POST http://good.test:443/ HTTP/1.1\\r\\nHost: evil.test",
];

#[test]
fn no_trick_at_the_proxy_leads_to_another_host() {
    if !rustix::process::geteuid().is_root() {
        // Only root can make a world in which a public address answers.
        return;
    }
    let _world = World::enter();
    let places = [(OTHER, 443), (PRIVATE, 443), ("127.0.0.1", 443), (PUBLIC, 22), (PUBLIC, 80)];
    let heard = places.map(|(address, port)| ((address, port), listen(address, port)));
    let good = listen(PUBLIC, 443);
    for (place, heard) in &heard {
        let _reached = TcpStream::connect(*place).unwrap();
        wait_until("a visit without a sandbox is heard", SOON, || {
            (heard.load(Ordering::Acquire) == 1).then_some(())
        });
    }
    let mut script = "#!/bin/bash\nask() { exec 3<>/dev/tcp/127.0.0.1/3128; printf \"$1\\r\\n\\r\\n\" >&3
        IFS= read -r -t 10 line <&3; echo \"answer: ${line%$'\\r'}\"; exec 3>&-; }\n"
        .to_owned();
    for trick in TRICKS {
        script += &format!("ask '{trick}'\n");
    }
    // The right host by the wrong name, and a first message that is no TLS at all.
    for first in [hello("evil.test"), "GET / HTTP/1.1\\r\\nHost: evil.test\\r\\n\\r\\n".to_owned()] {
        script += &format!(
            "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT good.test:443 HTTP/1.1\\r\\n\\r\\n' >&3
            read -r line <&3; read -r line <&3; printf '{first}' >&3; timeout 5 cat <&3 | wc -c | sed 's/^/got: /'\n"
        );
    }
    let house = House::walled(Walls::Plain);
    let project = house.repository("project");
    house.executable("claude", &script);
    let hosts = json!(["good.test", "private.test", "local.test", "mapped.test", "*.wild.test"]);
    let document = json!({ "connector": "2.0", "name": "tricks", "pipeline": { "phases": [
        { "name": "work", "model": "claude", "prompt": "x", "session": { "sandbox": true, "network": hosts } } ] } });
    let said = house.niia(["run".as_ref(), house.document("tricks", &document).as_os_str()]);
    let run = said.inside(project.path()).limit(Duration::from_secs(200)).run().exits(0).run_id();
    let printed = house.niia(["replay", &format!("{run}/work/1/1"), "--text"]).run().exits(0).out;
    let answers: Vec<&str> = printed.lines().filter(|line| line.starts_with("answer: ")).collect();
    assert_eq!(answers.len(), TRICKS.len(), "{printed}");
    for (trick, answer) in TRICKS.iter().zip(answers) {
        assert!(answer.contains("HTTP/1.1 4") || answer.contains("HTTP/1.1 5"), "{trick}: {answer}");
    }
    // What comes back is an alert of the proxy's own, or nothing.
    let cut = printed.matches("got: 7").count() + printed.matches("got: 0").count();
    assert_eq!(cut, 2, "{printed}");
    for ((place, _), heard) in places.iter().zip(&heard) {
        assert_eq!(heard.1.load(Ordering::Acquire), 1, "somebody reached {place}");
    }
    assert!(good.load(Ordering::Acquire) <= 2, "the named host alone may be dialled");
}
