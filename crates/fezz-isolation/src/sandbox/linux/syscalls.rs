//! seccomp: the filter of a worker's system calls.
//!
//! It is an allow list, so that system calls of later kernels are refused too. What is not listed fails with EPERM. A few
//! fail with ENOSYS, on which libraries fall back to other calls.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::syscall_table::{ALLOWED, ALLOWED_LEGACY, ALLOWED_NET, ANSWER_ENOSYS};
use super::{Confinement, Profile};

const PR_SET_VMA: u64 = 0x5356_4d41;
/// With this port allowed, UDP sockets are too: Landlock has no rules for UDP.
const DNS_PORT: u16 = 53;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filter. Must come last: it forbids the system calls of the other restrictions.
pub(super) fn apply(confinement: &Confinement) -> Result<(), Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let errno = |code: i32| SeccompAction::Errno(code.unsigned_abs());
    let allowed = SeccompFilter::new(rules(confinement)?, errno(libc::EPERM), SeccompAction::Allow, arch)?;
    let unknown: Rules = ANSWER_ENOSYS.iter().map(|call| (*call, Vec::new())).collect();
    let unknown = SeccompFilter::new(unknown, SeccompAction::Allow, errno(libc::ENOSYS), arch)?;
    let (allowed, unknown) = (BpfProgram::try_from(allowed)?, BpfProgram::try_from(unknown)?);
    // In this order: the allow list forbids installing another filter.
    apply_filter(&unknown)?;
    apply_filter(&allowed)
}

fn rules(confinement: &Confinement) -> Result<Rules, Error> {
    // Allowed here, so that the other filter's ENOSYS takes effect.
    let calls = ALLOWED.iter().chain(ALLOWED_LEGACY).chain(ANSWER_ENOSYS);
    let mut rules: Rules = calls.map(|call| (*call, Vec::new())).collect();
    let own = u64::from(std::process::id());
    // Threads, not processes.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, vec![only(0, SeccompCmpOp::MaskedEq(thread), thread)?]);
    // Signals to itself: `abort` and `raise`.
    rules.insert(libc::SYS_kill, vec![only(0, SeccompCmpOp::Eq, own)?]);
    rules.insert(libc::SYS_tgkill, vec![only(0, SeccompCmpOp::Eq, own)?]);
    // Reading limits, not setting them.
    rules.insert(libc::SYS_prlimit64, vec![only(2, SeccompCmpOp::Eq, 0)?]);
    let names = [libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_GET_DUMPABLE, libc::PR_CAPBSET_READ];
    let mut prctl = vec![only(0, SeccompCmpOp::Eq, PR_SET_VMA)?];
    for name in names {
        prctl.push(only(0, SeccompCmpOp::Eq, u64::from(name.unsigned_abs()))?);
    }
    rules.insert(libc::SYS_prctl, prctl);
    rules.insert(libc::SYS_socketpair, vec![only(0, SeccompCmpOp::Eq, family(libc::AF_UNIX))?]);
    // Not if the host runs as root, which owns most of the system's files.
    if !rustix::process::getuid().is_root() {
        rules.insert(libc::SYS_fchmod, Vec::new());
    }
    if confinement.profile == Profile::Net {
        rules.extend(ALLOWED_NET.iter().map(|call| (*call, Vec::new())));
        rules.insert(libc::SYS_socket, sockets(confinement.ports.contains(&DNS_PORT))?);
    }
    Ok(rules)
}

/// TCP over IPv4 and IPv6, and UDP if asked for.
fn sockets(udp: bool) -> Result<Vec<SeccompRule>, Error> {
    let kind = |kind: i32| u64::from(kind.unsigned_abs());
    // Without SOCK_NONBLOCK and SOCK_CLOEXEC.
    let mask = SeccompCmpOp::MaskedEq(0xf);
    let mut rules = Vec::new();
    for domain in [libc::AF_INET, libc::AF_INET6] {
        for (socket, allowed) in [(libc::SOCK_STREAM, true), (libc::SOCK_DGRAM, udp)] {
            if allowed {
                let domain = condition(0, SeccompCmpOp::Eq, family(domain))?;
                let socket = condition(1, mask.clone(), kind(socket))?;
                rules.push(SeccompRule::new(vec![domain, socket])?);
            }
        }
    }
    Ok(rules)
}

fn family(family: i32) -> u64 {
    u64::from(family.unsigned_abs())
}

fn only(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, Error> {
    Ok(SeccompRule::new(vec![condition(argument, operator, value)?])?)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, Error> {
    // Pointers and flags are as wide as a register; families, socket types and process ids are `int` in the kernel.
    let length = if argument == 2 || matches!(operator, SeccompCmpOp::MaskedEq(_)) && argument == 0 {
        SeccompCmpArgLen::Qword
    } else {
        SeccompCmpArgLen::Dword
    };
    Ok(SeccompCondition::new(argument, length, operator, value)?)
}
