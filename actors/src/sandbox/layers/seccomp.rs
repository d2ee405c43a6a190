//! Seccomp: what a session may not ask of the kernel at all.
//!
//! Several filters, since one has one answer: "not allowed"; "there is no such call", after which a program takes an
//! older one whose arguments a filter can read; a guard of the numbers of the x32 calls, which the others do not know;
//! and where memory has a bound "not so much". A program of another machine language is killed at its first call: its
//! numbers mean other things.

mod calls;

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use crate::sandbox::Refusal;
use crate::sandbox::kernel;
use crate::sandbox::wire::Layers;

const CURE: &str = "use a kernel with CONFIG_SECCOMP_FILTER on x86-64 or arm64";
#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;

/// Numbers of x32 calls have this bit.
const X32_BIT: u32 = 0x4000_0000;

/// Puts the filters on this process and all that comes from it, and says how many there are.
pub(in super::super) fn restrict(memory: Option<u64>, layers: &mut Layers) -> Result<usize, Refusal> {
    let refuse =
        |error: seccompiler::BackendError| Refusal::new("calls", format!("the filter: {error}"), CURE);
    let denied = filter(calls::denied().map_err(refuse)?, libc::EPERM).map_err(refuse)?;
    let absent = filter(calls::absent(memory), libc::ENOSYS).map_err(refuse)?;
    let mut programs = vec![guard_of_x32(), absent, denied];
    if let Some(bytes_max) = memory {
        let much = calls::too_much(bytes_max).map_err(refuse)?;
        programs.push(filter(much, libc::ENOMEM).map_err(refuse)?);
    }
    for program in &programs {
        seccompiler::apply_filter(program)
            .map_err(|error| Refusal::new("calls", format!("the filter is not taken: {error}"), CURE))?;
    }
    let tried = check(memory.is_some())?;
    let filters = programs.len();
    layers.insert("calls".to_owned(), format!("{filters} filters; tried and refused: {tried}"));
    Ok(filters)
}

fn filter(
    rules: BTreeMap<i64, Vec<SeccompRule>>,
    errno: i32,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let answer = SeccompAction::Errno(errno.unsigned_abs());
    SeccompFilter::new(rules, SeccompAction::Allow, answer, ARCH)?.try_into()
}

/// Load the number; below the bit: allow; else: not allowed.
fn guard_of_x32() -> BpfProgram {
    const LOAD_WORD: u16 = 0x20;
    const JUMP_IF_NOT_BELOW: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    vec![
        sock_filter { code: LOAD_WORD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: JUMP_IF_NOT_BELOW, jt: 0, jf: 1, k: X32_BIT },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: ERRNO | libc::EPERM.unsigned_abs() },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: ALLOW },
    ]
}

/// Makes calls to which a kernel without the filters would give other answers: no descriptor has the number -1, and
/// nothing lies at address 0.
fn check(is_memory_bounded: bool) -> Result<String, Refusal> {
    const NONE: usize = usize::MAX;
    let mut tries: Vec<(&str, libc::c_long, [usize; 3], i32)> = vec![
        ("TIOCSTI", libc::SYS_ioctl, [NONE, libc::TIOCSTI as usize, 0], libc::EPERM),
        ("io_uring", libc::SYS_io_uring_enter, [NONE, 0, 0], libc::EPERM),
        ("clone3", libc::SYS_clone3, [0, 0, 0], libc::ENOSYS),
        ("ptrace", libc::SYS_ptrace, [NONE, 0, 0], libc::EPERM),
        ("x32", i64::from(X32_BIT) | libc::SYS_getpid, [0, 0, 0], libc::EPERM),
    ];
    if is_memory_bounded {
        tries.push(("nameless files", libc::SYS_memfd_create, [0, NONE, 0], libc::ENOSYS));
        tries.push(("large segments", libc::SYS_shmget, [0, NONE, 0], libc::ENOMEM));
    }
    for (name, call, arguments, wanted) in &tries {
        let (call, arguments, wanted) = (*call, *arguments, *wanted);
        let answer = kernel::refused_with(call, arguments);
        if answer != Some(wanted) {
            let why = format!("`{name}` is answered with {answer:?} instead of {wanted}");
            return Err(Refusal::new("calls", why, CURE));
        }
    }
    Ok(tries.iter().map(|(name, ..)| *name).collect::<Vec<_>>().join(", "))
}

/// A condition on how much is asked for.
fn more_than(argument: u8, bytes: u64) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Gt, bytes)
}

/// One condition on the lower half of an argument, which is all the kernel takes of most.
fn condition(
    argument: u8,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}
