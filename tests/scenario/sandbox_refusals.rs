//! Where a sandbox cannot be made in full, nothing runs: broken set-ups of machines, folders and policies, each of them
//! refused with the property, the reason and the cure.

use std::io;
use std::path::Path;
use std::sync::Arc;

use niia_tests::escape::{Outcome, Setup, Stage};
use rustix::process::geteuid;

fn stage() -> Arc<Stage> {
    Stage::shared(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// How a helper leaves that has refused.
const REFUSED: i32 = 125;

/// The program that must never run.
fn never() -> Setup {
    Setup::script("echo it runs")
}

/// It is refused for this property, and the words of the refusal hold these.
fn refused(setup: &Setup, property: &str, words: &[&str]) {
    let Outcome { refused, code, printed } = stage().run(setup);
    assert!(!printed.contains("it runs"), "it ran: {printed}");
    let said = refused.unwrap_or_else(|| panic!("it was not refused: {printed}"));
    assert_eq!(code, Some(REFUSED), "{said}");
    assert!(said.starts_with(&format!("REFUSED: {property}: ")), "{said}");
    assert!(said.matches(": ").count() >= 3, "a cure is named: {said}");
    assert!(printed.contains(&format!("REFUSED: {property}: ")), "the terminal shows it: {printed}");
    for word in words {
        assert!(said.contains(word), "{word} is not named: {said}");
    }
}

/// One instruction of a filter of system calls.
const fn step(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// From here on the kernel answers this call with that error.
fn without(call: libc::c_long, errno: i32) -> io::Result<()> {
    let call = u32::try_from(call).unwrap_or(0);
    let answer = libc::SECCOMP_RET_ERRNO | u32::try_from(errno).unwrap_or(0);
    let mut steps = [
        step(0x20, 0, 0, 0),
        step(0x15, 0, 1, call),
        step(0x06, 0, 0, answer),
        step(0x06, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: steps.as_mut_ptr() };
    // SAFETY: the program and its steps live until the kernel has copied them.
    let taken = unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) == 0
    };
    if taken { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn broken(before: fn() -> io::Result<()>) -> Setup {
    Setup { before, ..never() }
}

#[test]
fn a_sound_set_up_is_not_refused() {
    let Outcome { refused, code, printed } = stage().run(&never());
    assert_eq!((refused, code), (None, Some(0)), "{printed}");
    assert!(printed.contains("it runs"));
}

#[test]
fn user_namespaces_are_forbidden_by_the_system() {
    refused(&broken(|| without(libc::SYS_unshare, libc::EPERM)), "namespaces", &["user namespaces"]);
}

#[test]
fn there_can_be_no_further_user_namespace() {
    refused(&broken(|| without(libc::SYS_unshare, libc::ENOSPC)), "namespaces", &["max_user_namespaces"]);
}

#[test]
fn the_kernel_has_no_namespaces() {
    refused(&broken(|| without(libc::SYS_unshare, libc::ENOSYS)), "namespaces", &["built without"]);
}

#[test]
fn the_kernel_has_no_landlock() {
    refused(&broken(|| without(444, libc::ENOSYS)), "write", &["landlock"]);
}

#[test]
fn landlock_is_switched_off() {
    refused(&broken(|| without(444, libc::EOPNOTSUPP)), "write", &["landlock"]);
}

#[test]
fn landlock_does_not_take_its_rules() {
    refused(&broken(|| without(446, libc::EPERM)), "write", &["landlock"]);
}

#[test]
fn mounting_is_refused() {
    refused(&broken(|| without(libc::SYS_mount, libc::EPERM)), "write", &[]);
}

#[test]
fn copies_of_mounts_are_refused() {
    refused(&broken(|| without(libc::SYS_open_tree, libc::EPERM)), "write", &[]);
}

#[test]
fn mounts_cannot_be_made_read_only() {
    refused(&broken(|| without(libc::SYS_mount_setattr, libc::ENOSYS)), "write", &[]);
}

#[test]
fn the_root_cannot_be_changed() {
    refused(&broken(|| without(libc::SYS_pivot_root, libc::EPERM)), "write", &[]);
}

#[test]
fn there_are_no_filters_of_calls() {
    refused(&broken(|| without(libc::SYS_seccomp, libc::ENOSYS)), "calls", &[]);
}

#[test]
fn capabilities_cannot_be_given_up() {
    refused(&broken(|| without(libc::SYS_capset, libc::EPERM)), "privileges", &[]);
}

#[test]
fn no_network_of_its_own_can_be_had() {
    // The loopback is raised by a request on a socket.
    refused(&broken(|| without(libc::SYS_socket, libc::EPERM)), "network", &[]);
}

#[test]
fn root_is_refused_without_somebody_to_run_as() {
    if geteuid().is_root() {
        let Outcome { refused, code, printed } = stage().run_as_root(&never());
        let said = refused.unwrap_or_else(|| panic!("it was not refused: {printed}"));
        assert_eq!(code, Some(REFUSED));
        assert!(said.starts_with("REFUSED: user: ") && said.contains("run_as"), "{said}");
        assert!(!printed.contains("it runs"));
    }
}

#[test]
fn a_plain_user_cannot_run_as_another() {
    let setup = Setup {
        policy: |policy, _| policy.run_as = Some(niia_actors::sandbox::RunAs { uid: 61_234, gid: 61_234 }),
        ..never()
    };
    refused(&setup, "user", &["run_as"]);
}

#[test]
fn root_itself_is_nobody_to_run_as() {
    let setup = Setup {
        policy: |policy, _| policy.run_as = Some(niia_actors::sandbox::RunAs { uid: 0, gid: 0 }),
        ..never()
    };
    refused(&setup, "user", &["root"]);
}

#[test]
fn within_a_sandbox_nobody_makes_another() {
    // A container that lets nobody make namespaces looks the same from within.
    let script = "unshare -U true 2>&1; unshare -Um true 2>&1; echo done";
    let Outcome { refused, code, printed } = stage().run(&Setup::script(script));
    assert_eq!((refused, code), (None, Some(0)), "{printed}");
    assert!(printed.contains("unshare failed") || printed.contains("Operation not permitted"), "{printed}");
}

#[test]
fn a_folder_to_write_to_is_missing() {
    let setup = Setup { policy: |policy, scene| policy.write.push(scene.base.join("missing")), ..never() };
    refused(&setup, "write", &["missing"]);
}

#[test]
fn a_folder_to_write_to_is_a_link() {
    let setup = Setup {
        scene: |scene| std::os::unix::fs::symlink(scene.home(), scene.base.join("link")).unwrap(),
        policy: |policy, scene| policy.write.push(scene.base.join("link")),
        ..never()
    };
    refused(&setup, "write", &["link"]);
}

#[test]
fn the_kernels_own_folders_cannot_be_granted() {
    for path in ["/proc", "/sys", "/dev", "/"] {
        let setup = match path {
            "/proc" => Setup { policy: |policy, _| policy.write.push("/proc".into()), ..never() },
            "/sys" => Setup { policy: |policy, _| policy.write.push("/sys".into()), ..never() },
            "/dev" => Setup { policy: |policy, _| policy.write.push("/dev".into()), ..never() },
            _ => Setup { policy: |policy, _| policy.write.push("/".into()), ..never() },
        };
        refused(&setup, "policy", &[path]);
    }
}

#[test]
fn a_path_that_climbs_is_no_path() {
    let setup = Setup { policy: |policy, scene| policy.write.push(scene.tree().join("../..")), ..never() };
    refused(&setup, "policy", &["plain absolute path"]);
}

#[test]
fn a_policy_of_another_version_is_not_guessed_at() {
    refused(&Setup { policy: |policy, _| policy.version = 99, ..never() }, "policy", &["version"]);
}

#[test]
fn a_session_without_room_for_a_shell_is_refused() {
    refused(&Setup { policy: |policy, _| policy.pids_max = Some(1), ..never() }, "policy", &["processes"]);
    refused(
        &Setup { policy: |policy, _| policy.memory_bytes_max = Some(1), ..never() },
        "policy",
        &["memory"],
    );
}

#[test]
fn a_socket_to_be_reached_is_missing() {
    let setup =
        Setup { policy: |policy, scene| policy.sockets.push(scene.base.join("none.sock")), ..never() };
    refused(&setup, "socket", &["none.sock"]);
}

#[test]
fn a_program_that_is_not_there_is_no_success() {
    let setup = Setup { argv: vec!["/no/such/program".into()], ..never() };
    let Outcome { refused, code, .. } = stage().run(&setup);
    assert_eq!(code, Some(127));
    assert!(refused.is_some());
}
