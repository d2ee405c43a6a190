//! The examples that need several machines, on one: as their script runs them.

use std::path::Path;

use niia_tests::House;

fn run(example: &str, shows: &[&str]) {
    let house = House::new();
    std::os::unix::fs::symlink(niia_tests::niia(), house.at("bin/niia")).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/machines.sh");
    let said = house.program(Path::new("/bin/sh"), [script.as_os_str(), example.as_ref()]).run().exits(0);
    for text in shows {
        assert!(said.out.contains(text), "{text}\n{}{}", said.out, said.err);
    }
    assert!(
        std::fs::read_dir(house.at("tmp")).unwrap().flatten().all(|e| !e.path().is_dir()),
        "nothing stays"
    );
}

#[test]
fn two_halves_of_a_change_meet_from_two_machines() {
    run("two-machines", &["done", "build-front.txt", "build-back.txt", "meet-1.txt"]);
}

#[test]
fn work_goes_around_the_clock() {
    run("around-the-clock", &["done", "research-5.txt", "check-2.txt", "hand-over-1.txt"]);
}

#[test]
fn each_model_works_where_its_hardware_is() {
    run("mixed-hardware", &["done", "sort-3.txt", "join-1.txt"]);
}
