//! What a sandboxed program receives through its proxy goes on while the node is killed, byte for byte, and the next
//! node knows whom it reached before and after.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};

use niia_tests::{House, Walls, wait_until};
use serde_json::json;

use super::SOON;
use super::sandbox_world::{PUBLIC, World, hello};

/// The whole of what is sent: some megabytes, in lines that are all different.
const LINES: usize = 200_000;
/// So many are sent before the node is killed; the rest comes when the next node is up.
const LINES_BEFORE: usize = 60_000;

fn lines(from: usize, to: usize) -> Vec<u8> {
    (from..to).flat_map(|number| format!("line {number}\n").into_bytes()).collect()
}

/// A server that sends a part, waits until it may go on, and sends the rest.
#[derive(Clone)]
struct Server {
    sent: Arc<AtomicUsize>,
    may_go_on: Arc<Barrier>,
    is_over: Arc<AtomicBool>,
}

impl Server {
    fn open(listener: TcpListener) -> Server {
        let server =
            Server { sent: Arc::default(), may_go_on: Arc::new(Barrier::new(2)), is_over: Arc::default() };
        let own = server.clone();
        std::thread::spawn(move || own.serve(&listener));
        server
    }

    fn serve(&self, listener: &TcpListener) {
        let (mut client, _) = listener.accept().unwrap();
        assert!(client.read(&mut [0; 4096]).unwrap() > 0, "it is asked");
        self.send(&mut client, 0, LINES_BEFORE);
        self.may_go_on.wait();
        self.send(&mut client, LINES_BEFORE, LINES);
        self.is_over.store(true, Ordering::Release);
    }

    fn send(&self, client: &mut TcpStream, from: usize, to: usize) {
        for at in (from..to).step_by(1_000) {
            client.write_all(&lines(at, at + 1_000)).unwrap();
            self.sent.store(at + 1_000, Ordering::Release);
        }
    }
}

/// Runs a worker that receives by this script, kills the node in the midst of it, and looks at all that came.
fn goes_on(
    house: &House,
    server: &Server,
    document: &serde_json::Value,
    script: &str,
    environment: &[(&str, String)],
) {
    let project = house.repository("project");
    house.executable("claude", &format!("#!/bin/bash\n[ -n \"$NIIA_SOCKET\" ] || exit 0\n{script}\n"));
    let document = house.document("streaming", document);
    let call = house.niia([Path::new("run"), &document, Path::new("--detach")]).inside(project.path());
    let call = environment.iter().fold(call, |call, (name, value)| call.env(name, value.clone()));
    let run = call.run().exits(0).run_id();
    wait_until("the first part is on its way", SOON, || {
        (server.sent.load(Ordering::Acquire) >= LINES_BEFORE).then_some(())
    });
    let node = house.node();
    house.kill(node);
    wait_until("the node is gone", SOON, || {
        (!house.residents().iter().any(|resident| resident.id == node)).then_some(())
    });
    // It goes on while there is no node at all.
    server.may_go_on.wait();
    wait_until("all is sent without a node", SOON, || server.is_over.load(Ordering::Acquire).then_some(()));
    assert_eq!(house.wait_over(&run, SOON)["state"], "done");
    assert_ne!(house.node(), node, "it is another node");
    let got = project.git(["show", &format!("niia/{run}/result:got.txt")]);
    assert!(got.into_bytes() == lines(0, LINES), "every byte came, once and in order");
    let explained = house.niia(["explain", &run]).run().exits(0).out;
    for word in ["was reached", "after.example"] {
        assert!(explained.contains(word), "{word}: {explained}");
    }
}

fn document(network: &serde_json::Value) -> serde_json::Value {
    let session = json!({ "sandbox": true, "network": network });
    json!({ "connector": "2.0", "name": "streaming", "session": session, "pipeline": { "phases": [
        { "name": "work", "model": "claude", "prompt": "Receive." } ] } })
}

/// Asks the proxy for a host that nobody named.
const ASK_ELSEWHERE: &str = "exec 4<>/dev/tcp/127.0.0.1/3128
printf 'CONNECT after.example:443 HTTP/1.1\\r\\n\\r\\n' >&4; read -r line <&4; echo \"$line\"";

#[test]
fn what_comes_from_an_endpoint_of_this_machine_goes_on_without_the_node() {
    for walls in Walls::all() {
        let house = House::walled(walls);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = Server::open(listener);
        let script =
            format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo please >&3; cat <&3 > got.txt\n{ASK_ELSEWHERE}");
        let base = [("ANTHROPIC_BASE_URL", format!("http://127.0.0.1:{port}"))];
        goes_on(&house, &server, &document(&json!(["named.example"])), &script, &base);
    }
}

#[test]
fn what_comes_through_the_proxy_goes_on_without_the_node() {
    if !rustix::process::geteuid().is_root() {
        // Only root can make a world in which a public address answers.
        return;
    }
    let _world = World::enter();
    for walls in Walls::all() {
        let house = House::walled(walls);
        let server = Server::open(TcpListener::bind((PUBLIC, 443)).unwrap());
        let script = format!(
            "exec 3<>/dev/tcp/127.0.0.1/3128
            printf 'CONNECT good.test:443 HTTP/1.1\\r\\n\\r\\n' >&3; read -r line <&3; echo \"$line\"; read -r line <&3
            printf '{}' >&3; cat <&3 > got.txt\n{ASK_ELSEWHERE}",
            hello("good.test")
        );
        goes_on(&house, &server, &document(&json!(["good.test"])), &script, &[]);
    }
}
