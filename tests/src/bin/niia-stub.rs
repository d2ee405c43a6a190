//! The stub of the providers on its own: `niia-stub PORT [FAILURE]`, until it is ended. It prints what it is asked.

use std::time::Duration;

use niia_tests::stub::{Failure, Stub};

fn main() -> std::process::ExitCode {
    let mut words = std::env::args().skip(1);
    let port = words.next().and_then(|port| port.parse().ok()).unwrap_or(0);
    let stub = match Stub::open(port) {
        Ok(stub) => stub,
        Err(error) => {
            eprintln!("niia-stub: {error}");
            return std::process::ExitCode::FAILURE;
        }
    };
    stub.fail(words.next().and_then(|word| Failure::by_word(&word)));
    println!("http://127.0.0.1:{}", stub.port());
    let mut told = 0;
    loop {
        let seen = stub.seen();
        for one in &seen[told..] {
            println!("{:?}", one);
        }
        told = seen.len();
        std::thread::sleep(Duration::from_millis(50));
    }
}
