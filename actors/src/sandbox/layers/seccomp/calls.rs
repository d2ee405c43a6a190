//! The calls, by what they would give away.

use std::collections::BTreeMap;

use seccompiler::{BackendError, SeccompCmpOp, SeccompRule};

use super::{condition, more_than};

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Other trees of files.
const MOUNTS: [i64; 14] = [
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_quotactl_fd,
];
/// A newer way to other trees, which has no name in the library yet.
const OPEN_TREE_ATTR: i64 = 467;
/// Other processes.
const PROCESSES: [i64; 9] = [
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
];
/// Parts of the kernel that are large, and that programs of this kind have no use for.
const KERNEL: [i64; 26] = [
    libc::SYS_bpf,
    libc::SYS_memfd_secret,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_fanotify_init,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_vhangup,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];
#[cfg(target_arch = "x86_64")]
const OF_THIS_MACHINE: [i64; 6] = [
    libc::SYS_modify_ldt,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_kexec_file_load,
    libc::SYS_uselib,
    libc::SYS_adjtimex,
];
#[cfg(target_arch = "aarch64")]
const OF_THIS_MACHINE: [i64; 2] = [libc::SYS_kexec_file_load, libc::SYS_adjtimex];

/// Requests to a terminal by which one program types for another, or takes the console.
const TERMINAL_REQUESTS: [u64; 4] = [libc::TIOCSTI, libc::TIOCLINUX, libc::TIOCCONS, libc::TIOCSETD];
const NAMESPACES: [libc::c_int; 8] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWCGROUP,
    // Of clocks; the number means something else to the older call, where the kernel does not take it.
    0,
];
/// Modes by which a file runs as who owns it.
const SET_ID_MODES: [u64; 2] = [libc::S_ISUID as u64, libc::S_ISGID as u64];
const SYS_FCHMODAT2: i64 = 452;

/// Calls that are answered with "not allowed".
pub(super) fn denied() -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    let whole = MOUNTS.iter().chain(&PROCESSES).chain(&KERNEL).chain(&OF_THIS_MACHINE);
    rules.extend(whole.chain(&[OPEN_TREE_ATTR]).map(|call| (*call, Vec::new())));
    rules.insert(libc::SYS_clone, any(0, &NAMESPACES.map(|flag| u64::from(flag.unsigned_abs())))?);
    let requests = TERMINAL_REQUESTS.iter();
    let requests = requests.map(|request| rule(vec![condition(1, SeccompCmpOp::Eq, *request)?]));
    rules.insert(libc::SYS_ioctl, requests.collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_socket, sockets()?);
    let pairs = rule(vec![condition(0, SeccompCmpOp::Ne, libc::AF_UNIX as u64)?])?;
    rules.insert(libc::SYS_socketpair, vec![pairs]);
    rules.insert(libc::SYS_personality, personality()?);
    modes(&mut rules)?;
    Ok(rules)
}

/// Calls that are answered with "there is no such call": their arguments lie in memory, where no filter can look. Where
/// memory has a bound also the one for files without a name: nobody can see what lies in those on their way from one
/// process to another, and programs take a file in `/dev/shm` then.
pub(super) fn absent(memory: Option<u64>) -> Rules {
    let mut calls = vec![libc::SYS_clone3, libc::SYS_openat2];
    calls.extend(memory.map(|_| libc::SYS_memfd_create));
    calls.into_iter().map(|call| (call, Vec::new())).collect()
}

/// A segment larger than this is refused where memory has a bound: it goes on when who made it has ended.
const SEGMENT_BYTES_MAX: u64 = 64 << 10;

/// More at once than the session may have at all, of what no limit of the kernel's counts.
pub(super) fn too_much(bytes_max: u64) -> Result<Rules, BackendError> {
    let shared = (libc::MAP_SHARED | libc::MAP_ANONYMOUS) as u64;
    let shared = vec![more_than(1, bytes_max)?, condition(3, SeccompCmpOp::MaskedEq(shared), shared)?];
    let segment = vec![more_than(1, SEGMENT_BYTES_MAX)?];
    Ok(Rules::from([(libc::SYS_mmap, vec![rule(shared)?]), (libc::SYS_shmget, vec![rule(segment)?])]))
}

fn rule(conditions: Vec<seccompiler::SeccompCondition>) -> Result<SeccompRule, BackendError> {
    SeccompRule::new(conditions)
}

/// One rule for each of these bits in an argument.
fn any(argument: u8, bits: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    let bits = bits.iter().filter(|bits| **bits != 0);
    bits.map(|bits| rule(vec![condition(argument, SeccompCmpOp::MaskedEq(*bits), *bits)?])).collect()
}

/// Whatever the kind of socket has, and the two everybody speaks, and the one of several ways.
const PROTOCOLS: [libc::c_int; 4] = [0, libc::IPPROTO_TCP, libc::IPPROTO_UDP, libc::IPPROTO_MPTCP];

/// Of the kinds of sockets: those in the file system, those of the internet, and what answers which devices there are.
fn sockets() -> Result<Vec<SeccompRule>, BackendError> {
    let family = |family: libc::c_int| condition(0, SeccompCmpOp::Ne, family.unsigned_abs().into());
    let others = vec![
        family(libc::AF_UNIX)?,
        family(libc::AF_INET)?,
        family(libc::AF_INET6)?,
        family(libc::AF_NETLINK)?,
    ];
    let netlink = vec![
        condition(0, SeccompCmpOp::Eq, libc::AF_NETLINK as u64)?,
        condition(2, SeccompCmpOp::Ne, libc::NETLINK_ROUTE as u64)?,
    ];
    let mut rules = vec![rule(others)?, rule(netlink)?];
    for family in [libc::AF_INET, libc::AF_INET6] {
        let mut other_protocols = vec![condition(0, SeccompCmpOp::Eq, family.unsigned_abs().into())?];
        for protocol in PROTOCOLS {
            other_protocols.push(condition(2, SeccompCmpOp::Ne, protocol.unsigned_abs().into())?);
        }
        rules.push(rule(other_protocols)?);
    }
    Ok(rules)
}

/// A process may ask how it is and be without random addresses, as debuggers want it.
fn personality() -> Result<Vec<SeccompRule>, BackendError> {
    const ASK: u64 = 0xffff_ffff;
    const NO_RANDOM_ADDRESSES: u64 = 0x0004_0000;
    let others = [0, ASK, NO_RANDOM_ADDRESSES].into_iter();
    Ok(vec![rule(others.map(|value| condition(0, SeccompCmpOp::Ne, value)).collect::<Result<_, _>>()?)?])
}

/// Files that would run as their owner: on the machine, outside of the sandbox, for anybody.
fn modes(rules: &mut Rules) -> Result<(), BackendError> {
    let create = libc::O_CREAT as u64;
    let unnamed = (libc::O_TMPFILE & !libc::O_DIRECTORY) as u64;
    let mut opens = |call: i64, flags: u8, mode: u8| -> Result<(), BackendError> {
        for bits in SET_ID_MODES {
            for way in [create, unnamed] {
                rules.entry(call).or_default().push(rule(vec![
                    condition(flags, SeccompCmpOp::MaskedEq(way), way)?,
                    condition(mode, SeccompCmpOp::MaskedEq(bits), bits)?,
                ])?);
            }
        }
        Ok(())
    };
    opens(libc::SYS_openat, 2, 3)?;
    #[cfg(target_arch = "x86_64")]
    opens(libc::SYS_open, 1, 2)?;
    let mut changes =
        vec![(libc::SYS_fchmod, 1), (libc::SYS_fchmodat, 2), (SYS_FCHMODAT2, 2), (libc::SYS_mknodat, 2)];
    #[cfg(target_arch = "x86_64")]
    changes.extend([(libc::SYS_chmod, 1), (libc::SYS_creat, 1), (libc::SYS_mknod, 1)]);
    for (call, mode) in changes {
        rules.insert(call, any(mode, &SET_ID_MODES)?);
    }
    Ok(())
}
