//! The system calls that the filter allows with some arguments only.
//!
//! A filter sees registers, not what they point to. An argument that is an `int` in the kernel is compared in its lower
//! half, which is all that the kernel reads; a pointer is compared as a whole.

use libc::{c_int, c_long};
use seccompiler::{Error, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::syscalls::Rules;
use super::{Confinement, DNS_PORT, Profile};

/// `PR_SET_VMA`: names a mapping.
const PR_SET_VMA: c_int = 0x5356_4d41;
/// `F_DUPFD_QUERY`: whether two descriptors are one.
const F_DUPFD_QUERY: c_int = 1027;
/// `TCGETS2`, with which `isatty` asks in recent C libraries.
const TCGETS2: u64 = 0x802c_542a;

/// What a thread is made of. Without these it would be a process.
const THREAD: c_int = libc::CLONE_THREAD | libc::CLONE_VM | libc::CLONE_SIGHAND;
/// What C libraries add.
const THREAD_OPTIONS: c_int = libc::CLONE_FS
    | libc::CLONE_FILES
    | libc::CLONE_SYSVSEM
    | libc::CLONE_SETTLS
    | libc::CLONE_PARENT_SETTID
    | libc::CLONE_CHILD_SETTID
    | libc::CLONE_CHILD_CLEARTID
    | libc::CLONE_DETACHED;

/// Commands of fcntl(2): none by which a descriptor signals a process (`F_SETOWN`, `F_SETSIG`), watches a folder
/// (`F_NOTIFY`), or keeps others from a file (`F_SETLEASE`).
const FCNTL: &[c_int] = &[
    libc::F_DUPFD,
    libc::F_DUPFD_CLOEXEC,
    libc::F_GETFD,
    libc::F_SETFD,
    libc::F_GETFL,
    libc::F_GETLK,
    libc::F_SETLK,
    libc::F_SETLKW,
    libc::F_OFD_GETLK,
    libc::F_OFD_SETLK,
    libc::F_OFD_SETLKW,
    libc::F_GETPIPE_SZ,
    libc::F_SETPIPE_SZ,
    libc::F_ADD_SEALS,
    libc::F_GET_SEALS,
    F_DUPFD_QUERY,
];

/// Requests of ioctl(2): none by which a descriptor signals a process (`FIOSETOWN`, `SIOCSPGRP`, `FIOASYNC`), and none
/// that changes a file's attributes.
const IOCTL: &[u64] = &[
    libc::FIONBIO,
    libc::FIONREAD,
    libc::FIOCLEX,
    libc::FIONCLEX,
    libc::TCGETS,
    TCGETS2,
    libc::TIOCGWINSZ,
    libc::TIOCOUTQ,
    libc::FICLONE,
    libc::FICLONERANGE,
];

/// Options of sockets. `TCP_ULP` is missing, since it makes a TCP socket one of another protocol, for which Landlock has
/// no rules; so are those of TCP Fast Open.
#[rustfmt::skip]
const SOCKET_OPTIONS: &[(c_int, &[c_int])] = &[
    (libc::SOL_SOCKET, &[
        libc::SO_REUSEADDR, libc::SO_REUSEPORT, libc::SO_KEEPALIVE, libc::SO_LINGER, libc::SO_BROADCAST,
        libc::SO_DONTROUTE, libc::SO_OOBINLINE, libc::SO_RCVBUF, libc::SO_SNDBUF, libc::SO_RCVLOWAT,
        libc::SO_RCVTIMEO, libc::SO_SNDTIMEO, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW, libc::SO_PRIORITY,
        libc::SO_PASSCRED, libc::SO_TIMESTAMP, libc::SO_TIMESTAMPNS, libc::SO_BUSY_POLL,
    ]),
    (libc::IPPROTO_TCP, &[
        libc::TCP_NODELAY, libc::TCP_MAXSEG, libc::TCP_CORK, libc::TCP_KEEPIDLE, libc::TCP_KEEPINTVL,
        libc::TCP_KEEPCNT, libc::TCP_SYNCNT, libc::TCP_LINGER2, libc::TCP_WINDOW_CLAMP, libc::TCP_QUICKACK,
        libc::TCP_CONGESTION, libc::TCP_THIN_LINEAR_TIMEOUTS, libc::TCP_USER_TIMEOUT, libc::TCP_NOTSENT_LOWAT,
    ]),
    (libc::IPPROTO_IP, &[
        libc::IP_TOS, libc::IP_TTL, libc::IP_RECVTTL, libc::IP_RECVTOS, libc::IP_MTU_DISCOVER, libc::IP_RECVERR,
        libc::IP_PKTINFO, libc::IP_BIND_ADDRESS_NO_PORT,
    ]),
    (libc::IPPROTO_IPV6, &[
        libc::IPV6_V6ONLY, libc::IPV6_UNICAST_HOPS, libc::IPV6_TCLASS, libc::IPV6_RECVTCLASS,
        libc::IPV6_MTU_DISCOVER, libc::IPV6_RECVERR, libc::IPV6_RECVPKTINFO, libc::IPV6_DONTFRAG,
    ]),
];
const SO_RCVTIMEO_NEW: c_int = 66;
const SO_SNDTIMEO_NEW: c_int = 67;

/// Flags with which a message may be sent: not `MSG_FASTOPEN`, which connects.
const SEND_FLAGS: c_int = libc::MSG_DONTROUTE
    | libc::MSG_DONTWAIT
    | libc::MSG_EOR
    | libc::MSG_MORE
    | libc::MSG_NOSIGNAL
    | libc::MSG_OOB
    | libc::MSG_CONFIRM;

/// The rules of all calls whose arguments matter.
pub(super) fn conditional(confinement: &Confinement) -> Result<Rules, Error> {
    let mut rules = Rules::new();
    own_process(&mut rules)?;
    descriptors(&mut rules)?;
    sockets(confinement, &mut rules)?;
    Ok(rules)
}

/// What a process may do to itself, and to no other.
fn own_process(rules: &mut Rules) -> Result<(), Error> {
    let own = std::process::id();
    allow(rules, libc::SYS_clone, vec![flags(0, THREAD, THREAD_OPTIONS)?])?;
    // `abort` and `raise`.
    allow(rules, libc::SYS_kill, vec![is(0, own)?])?;
    allow(rules, libc::SYS_tgkill, vec![is(0, own)?])?;
    for itself in [0, own] {
        allow(rules, libc::SYS_sched_setaffinity, vec![is(0, itself)?])?;
        allow(rules, libc::SYS_getpgid, vec![is(0, itself)?])?;
        allow(rules, libc::SYS_getsid, vec![is(0, itself)?])?;
        allow(rules, libc::SYS_getpriority, vec![is(0, libc::PRIO_PROCESS)?, is(1, itself)?])?;
        // Reading limits, not setting them.
        allow(rules, libc::SYS_prlimit64, vec![is(0, itself)?, null(2)?])?;
    }
    let options =
        [PR_SET_VMA, libc::PR_SET_NAME, libc::PR_GET_NAME, libc::PR_GET_DUMPABLE, libc::PR_CAPBSET_READ];
    for option in options {
        allow(rules, libc::SYS_prctl, vec![is(0, option.unsigned_abs())?])?;
    }
    Ok(())
}

/// What may be done with an open descriptor.
fn descriptors(rules: &mut Rules) -> Result<(), Error> {
    for command in FCNTL {
        allow(rules, libc::SYS_fcntl, vec![is(1, command.unsigned_abs())?])?;
    }
    let set_flags = vec![is(1, libc::F_SETFL.unsigned_abs())?, none_of(2, libc::O_ASYNC)?];
    allow(rules, libc::SYS_fcntl, set_flags)?;
    for request in IOCTL {
        // The kernel reads the lower half only.
        let request = condition(1, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, *request)?;
        allow(rules, libc::SYS_ioctl, vec![request])?;
    }
    // Memory that is shared with nobody, and that `RLIMIT_DATA` does not count.
    for private in [libc::MAP_SHARED, libc::MAP_ANONYMOUS] {
        allow(rules, libc::SYS_mmap, vec![none_of(3, private)?])?;
    }
    // Not huge pages, which no limit of a process counts.
    let memory = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING | libc::MFD_NOEXEC_SEAL | libc::MFD_EXEC;
    allow(rules, libc::SYS_memfd_create, vec![flags(1, 0, memory.cast_signed())?])?;
    // Not if the host runs as root, which owns most of the files that a worker can open for reading. Without a path, the
    // second call is `futimens`.
    if !rustix::process::getuid().is_root() {
        rules.insert(libc::SYS_fchmod, Vec::new());
        allow(rules, libc::SYS_utimensat, vec![null(1)?])?;
    }
    Ok(())
}

fn sockets(confinement: &Confinement, rules: &mut Rules) -> Result<(), Error> {
    let options = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // Not datagrams (SOCK_RAW is another word for those): they can be sent to the path of any socket.
    for kind in [libc::SOCK_STREAM, libc::SOCK_SEQPACKET] {
        let pair = vec![is(0, libc::AF_UNIX.unsigned_abs())?, flags(1, kind, options)?];
        allow(rules, libc::SYS_socketpair, pair)?;
    }
    for (call, argument) in [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)] {
        allow(rules, call, vec![flags(argument, 0, SEND_FLAGS)?])?;
    }
    for (level, names) in SOCKET_OPTIONS {
        for name in *names {
            let option = vec![is(1, level.unsigned_abs())?, is(2, name.unsigned_abs())?];
            allow(rules, libc::SYS_setsockopt, option)?;
        }
    }
    if confinement.profile != Profile::Net {
        return Ok(());
    }
    // Landlock decides about the ports. Listening stays forbidden.
    rules.insert(libc::SYS_connect, Vec::new());
    let udp = confinement.ports.contains(&DNS_PORT);
    if udp {
        rules.insert(libc::SYS_bind, Vec::new());
    }
    for (kind, protocol, allowed) in
        [(libc::SOCK_STREAM, libc::IPPROTO_TCP, true), (libc::SOCK_DGRAM, libc::IPPROTO_UDP, udp)]
    {
        // Landlock has no rules for other protocols, such as Multipath TCP and SCTP.
        for protocol in [0, protocol].into_iter().filter(|_| allowed) {
            for family in [libc::AF_INET, libc::AF_INET6] {
                let (family, protocol) = (is(0, family.unsigned_abs())?, is(2, protocol.unsigned_abs())?);
                allow(rules, libc::SYS_socket, vec![family, flags(1, kind, options)?, protocol])?;
            }
        }
    }
    Ok(())
}

/// Allows a call with arguments that meet all of these conditions, besides those that it is allowed with already.
fn allow(rules: &mut Rules, call: c_long, conditions: Vec<SeccompCondition>) -> Result<(), Error> {
    rules.entry(call).or_default().push(SeccompRule::new(conditions)?);
    Ok(())
}

fn condition(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompCondition, Error> {
    Ok(SeccompCondition::new(argument, length, operator, value)?)
}

/// The argument, an `int`, is this.
fn is(argument: u8, value: u32) -> Result<SeccompCondition, Error> {
    condition(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value.into())
}

/// The argument, a pointer, is null.
fn null(argument: u8) -> Result<SeccompCondition, Error> {
    condition(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
}

/// The argument, an `int`, has all bits of `required`, and of the others only such as are in `options`.
fn flags(argument: u8, required: c_int, options: c_int) -> Result<SeccompCondition, Error> {
    let fixed = SeccompCmpOp::MaskedEq((!options).cast_unsigned().into());
    condition(argument, SeccompCmpArgLen::Dword, fixed, required.cast_unsigned().into())
}

/// The argument, an `int`, has none of these bits.
fn none_of(argument: u8, bits: c_int) -> Result<SeccompCondition, Error> {
    let tested = SeccompCmpOp::MaskedEq(bits.cast_unsigned().into());
    condition(argument, SeccompCmpArgLen::Dword, tested, 0)
}
