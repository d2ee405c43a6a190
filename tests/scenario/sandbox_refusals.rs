//! Where a sandbox cannot be made in full, nothing runs: broken set-ups of machines, folders and policies, each of them
//! refused with the property, the reason and the cure.

use std::ffi::CStr;
use std::io;
use std::path::Path;
use std::sync::Arc;

use niia_tests::escape::{Outcome, Setup, Stage};
use niia_tests::{House, Walls};
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

/// In a user namespace of its own, as in a container within a container, something lies over this folder.
fn covered(folder: &CStr) -> io::Result<()> {
    own_mounts()?;
    mounted(c"none", folder, c"tmpfs", 0)
}

/// Only calls the kernel: it runs between fork and exec.
fn own_mounts() -> io::Result<()> {
    // SAFETY: numbers alone; a process that was another user before hides from itself until it is told not to.
    let own = unsafe {
        let (uid, gid) = (libc::getuid(), libc::getgid());
        let left = libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
            && libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) == 0;
        left.then_some((uid, gid))
    };
    let (uid, gid) = own.ok_or_else(io::Error::last_os_error)?;
    written(c"/proc/self/setgroups", format_args!("deny"))?;
    written(c"/proc/self/uid_map", format_args!("{uid} {uid} 1"))?;
    written(c"/proc/self/gid_map", format_args!("{gid} {gid} 1"))
}

fn written(path: &CStr, text: std::fmt::Arguments<'_>) -> io::Result<()> {
    let mut bytes = [0_u8; 64];
    let mut rest = bytes.as_mut_slice();
    io::Write::write_fmt(&mut rest, text)?;
    let length = 64 - rest.len();
    // SAFETY: the path and the bytes live through the calls.
    let wrote = unsafe {
        let file = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        libc::write(file, bytes.as_ptr().cast(), length)
    };
    if usize::try_from(wrote) == Ok(length) { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn mounted(from: &CStr, at: &CStr, kind: &CStr, flags: libc::c_ulong) -> io::Result<()> {
    // SAFETY: the texts live through the call; there is no data.
    let made = unsafe { libc::mount(from.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) };
    if made == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[test]
fn there_is_no_proc() {
    refused(&broken(|| covered(c"/proc")), "start", &["/proc", "mount /proc"]);
}

#[test]
fn a_container_masks_a_part_of_proc() {
    refused(&broken(|| covered(c"/proc/sys")), "write", &["proc", "unmasked /proc"]);
}

#[test]
fn there_are_no_devices() {
    refused(&broken(|| covered(c"/dev")), "write", &["/dev/"]);
}

#[test]
fn what_is_to_be_written_lies_on_a_file_system_that_is_read_only() {
    let setup = broken(|| {
        own_mounts()?;
        // The tree is where the helper is started; by this name the new mount is not seen yet.
        mounted(c".", c".", c"", libc::MS_BIND)?;
        let mut path = [0_u8; libc::PATH_MAX as usize];
        // SAFETY: the buffer is as long as the kernel's longest path and lives through the calls.
        unsafe {
            if libc::getcwd(path.as_mut_ptr().cast(), path.len()).is_null() {
                return Err(io::Error::last_os_error());
            }
        }
        let path = CStr::from_bytes_until_nul(&path).map_err(|_| io::ErrorKind::InvalidInput)?;
        mounted(c"none", path, c"", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY)
    });
    refused(&setup, "write", &["work/tree", "read-only"]);
}

#[test]
fn the_nodes_state_lies_on_a_file_system_that_is_read_only() {
    let setup = broken(|| {
        own_mounts()?;
        let state = c"../../state";
        mounted(state, state, c"", libc::MS_BIND)?;
        mounted(c"none", state, c"", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY)
    });
    refused(&setup, "write", &["state/private", "read-only"]);
}

#[test]
fn without_terminals_of_the_machine_a_session_has_its_own() {
    let Outcome { refused, code, printed } =
        stage().run(&Setup { before: || covered(c"/dev/pts"), ..Setup::script("script -qec tty /dev/null") });
    assert_eq!((refused, code), (None, Some(0)), "{printed}");
    assert!(printed.contains("/dev/pts/0"), "{printed}");
}

/// A document of one sandboxed worker that must not run.
fn one(session: &serde_json::Value) -> serde_json::Value {
    serde_json::json!({ "connector": "2.0", "name": "one", "pipeline": { "phases": [
        { "name": "work", "model": "claude", "prompt": "x", "session": session } ] } })
}

#[test]
fn a_home_in_a_folder_that_a_session_has_for_itself_is_refused() {
    let house = House::walled(Walls::Plain);
    let project = house.repository("project");
    house.install("claude", "write ran.txt it runs");
    let document = house.document("one", &one(&serde_json::json!({ "sandbox": true })));
    let home = tempfile::tempdir_in("/tmp").unwrap();
    let said = house
        .niia([Path::new("run"), &document])
        .inside(project.path())
        .env("HOME", home.path().display().to_string())
        .run();
    assert_ne!(said.code, Some(0), "{said:?}");
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("REFUSED: home") && all.contains("set HOME"), "{all}");
    let branches = project.git(["branch", "--all"]);
    let made = project.git(["log", "--all", "--name-only", "--format="]);
    assert!(!made.contains("ran.txt"), "it ran: {branches}{made}");
}

#[test]
fn a_state_folder_that_cannot_be_written_is_refused_before_anything_runs() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::walled(Walls::Plain);
    let project = house.repository("project");
    house.install("claude", "write ran.txt it runs");
    let document = house.document("one", &one(&serde_json::json!({ "sandbox": true })));
    let mode = |mode| std::fs::set_permissions(house.at("state"), PermissionsExt::from_mode(mode)).unwrap();
    mode(0o500);
    let said = house.run(project.path(), &document);
    mode(0o700);
    assert_ne!(said.code, Some(0), "{said:?}");
    assert!(said.err.contains("state") && said.err.contains("ermission denied"), "{said:?}");
    let made = project.git(["log", "--all", "--name-only", "--format="]);
    assert!(!made.contains("ran.txt"), "it ran: {made}");
}

#[test]
fn in_a_shallow_clone_a_sandboxed_worker_works_and_its_commit_comes_home() {
    for walls in Walls::all() {
        let house = House::walled(walls);
        let origin = house.repository("origin");
        origin.file("more.txt", "more").commit("More");
        let place = format!("file://{}", origin.path().display());
        let shallow = house.repository("shallow");
        shallow.git(["fetch", "--quiet", "--depth", "1", &place, "main"]);
        shallow.git(["reset", "--quiet", "--hard", "FETCH_HEAD"]);
        house.install("claude", "run git log --oneline; git gc --quiet && echo packed\nwrite made.txt made");
        let document = house.document("one", &one(&serde_json::json!({ "sandbox": true })));
        let run = house.run(shallow.path(), &document).exits(0).run_id();
        let made = shallow.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]);
        assert!(made.contains("made.txt") && made.contains("more.txt"), "{made}");
        assert_eq!(shallow.git(["rev-parse", "--is-shallow-repository"]).trim(), "true");
    }
}

#[test]
fn a_folder_reached_by_a_link_is_worked_in_by_its_own_name() {
    let house = House::walled(Walls::Plain);
    let project = house.repository("project");
    std::os::unix::fs::symlink(project.path(), house.at("linked")).unwrap();
    house.install("claude", "write made.txt made");
    let document = house.document("one", &one(&serde_json::json!({ "sandbox": true })));
    let run = house.run(&house.at("linked"), &document).exits(0).run_id();
    assert!(project.git(["ls-tree", "--name-only", &format!("niia/{run}/result")]).contains("made.txt"));
}
