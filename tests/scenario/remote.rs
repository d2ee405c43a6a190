//! Several machines: pairing, rights, and the remote twins of local verbs. Each house is a machine of its own.

mod campaign;
mod choice;
mod egress;
mod examples;
mod files;
mod home;
mod hosts;
mod losing;
mod pairing;
mod refused;
mod relay;
mod talks;
mod twins;
mod worker;

use niia_tests::{House, wait_until};
use serde_json::Value;

use super::SOON;

/// A house whose node listens on loopback alone and is called so. It has the same port after a restart.
pub fn machine(name: &str) -> House {
    let house = House::new();
    let free = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!("[network]\nlisten = \"{free}\"\ndiscover = false\nname = \"{name}\"\n");
    let _ = house.file("state/config/niia.toml", &text);
    house
}

/// Shows a code in one house and types what `typed` makes of it in another one.
pub fn pair(
    shows: &House,
    types: &House,
    rights: &str,
    typed: impl Fn(&str) -> String,
) -> (i32, String, String) {
    let showing = shows.niia(["pair", "--json", "--allow", rights]).start();
    let shown = wait_until("a code is shown", SOON, || {
        serde_json::from_str::<Value>(showing.out_so_far().lines().next()?).ok()
    });
    let (code, port) = (shown["code"].as_str().unwrap(), shown["port"].as_u64().unwrap());
    let said = types.niia(["pair", &typed(code), &format!("127.0.0.1:{port}")]).run();
    let there = showing.wait();
    (said.code.unwrap_or(-1), said.out + &said.err, there.out + &there.err)
}

/// Two machines that trust each other; the first one may do this on the second.
pub fn paired(here: &House, there: &House, rights: &str) {
    let (code, said, _) = pair(there, here, rights, str::to_owned);
    assert_eq!(code, 0, "{said}");
}
