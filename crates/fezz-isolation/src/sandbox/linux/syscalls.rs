//! seccomp: which system calls there are for a worker.
//!
//! A list of what is allowed, so that a call which a later kernel adds is refused too. What is not on it answers EPERM;
//! a few answer ENOSYS, since libraries then take another way.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};

use super::{Confinement, Profile};

/// Memory, files that are open or that Landlock lets be opened, threads, time, waiting, and messages on sockets that
/// are there.
const ALLOWED: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_msync,
    libc::SYS_mlock,
    libc::SYS_mlock2,
    libc::SYS_munlock,
    libc::SYS_membarrier,
    libc::SYS_memfd_create,
    libc::SYS_pkey_alloc,
    libc::SYS_pkey_free,
    libc::SYS_pkey_mprotect,
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_preadv,
    libc::SYS_pwritev,
    libc::SYS_preadv2,
    libc::SYS_pwritev2,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_tee,
    libc::SYS_copy_file_range,
    libc::SYS_lseek,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_fcntl,
    libc::SYS_flock,
    libc::SYS_ioctl,
    libc::SYS_fstat,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_statfs,
    libc::SYS_fstatfs,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_getcwd,
    libc::SYS_chdir,
    libc::SYS_fchdir,
    libc::SYS_mkdirat,
    libc::SYS_unlinkat,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_ftruncate,
    libc::SYS_truncate,
    libc::SYS_fallocate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_sync_file_range,
    libc::SYS_fadvise64,
    libc::SYS_readahead,
    libc::SYS_utimensat,
    libc::SYS_umask,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_rm_watch,
    libc::SYS_pipe2,
    libc::SYS_eventfd2,
    libc::SYS_signalfd4,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_settime,
    libc::SYS_timerfd_gettime,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_futex,
    libc::SYS_futex_waitv,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_gettid,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_get_priority_max,
    libc::SYS_sched_get_priority_min,
    libc::SYS_getcpu,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_restart_syscall,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_times,
    libc::SYS_timer_create,
    libc::SYS_timer_settime,
    libc::SYS_timer_gettime,
    libc::SYS_timer_getoverrun,
    libc::SYS_timer_delete,
    libc::SYS_getitimer,
    libc::SYS_setitimer,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigpending,
    libc::SYS_rt_sigsuspend,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sigaltstack,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getgroups,
    libc::SYS_getresuid,
    libc::SYS_getresgid,
    libc::SYS_getpgid,
    libc::SYS_getsid,
    libc::SYS_getpriority,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_capget,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_getrandom,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_sendto,
    libc::SYS_recvfrom,
    libc::SYS_sendmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvmmsg,
    libc::SYS_shutdown,
    libc::SYS_getsockname,
    libc::SYS_getpeername,
    libc::SYS_getsockopt,
    libc::SYS_setsockopt,
];

/// The older names of some of them, which newer architectures do without.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getdents,
    libc::SYS_mkdir,
    libc::SYS_rmdir,
    libc::SYS_unlink,
    libc::SYS_rename,
    libc::SYS_link,
    libc::SYS_symlink,
    libc::SYS_dup2,
    libc::SYS_pipe,
    libc::SYS_eventfd,
    libc::SYS_signalfd,
    libc::SYS_inotify_init,
    libc::SYS_epoll_create,
    libc::SYS_epoll_wait,
    libc::SYS_poll,
    libc::SYS_select,
    libc::SYS_time,
    libc::SYS_alarm,
    libc::SYS_pause,
    libc::SYS_getpgrp,
    libc::SYS_arch_prctl,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Answered as by a kernel that does not have them: the C library starts threads by `clone` then, whose flags a filter
/// can see, and runtimes do without io_uring.
const UNKNOWN: &[c_long] =
    &[libc::SYS_clone3, libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register];

/// What `net` adds: sockets, whose ports are Landlock's to judge. There is nothing to listen with.
const NET: &[c_long] = &[libc::SYS_connect, libc::SYS_bind];

const PR_SET_VMA: u64 = 0x5356_4d41;
/// DNS.
const NAMES: u16 = 53;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Must come last: the filter does not let itself be set up.
pub(super) fn apply(confinement: &Confinement) -> Result<(), Error> {
    let arch = TargetArch::try_from(std::env::consts::ARCH)?;
    let errno = |code: i32| SeccompAction::Errno(code.unsigned_abs());
    let allowed = SeccompFilter::new(rules(confinement)?, errno(libc::EPERM), SeccompAction::Allow, arch)?;
    let unknown: Rules = UNKNOWN.iter().map(|call| (*call, Vec::new())).collect();
    let unknown = SeccompFilter::new(unknown, SeccompAction::Allow, errno(libc::ENOSYS), arch)?;
    let (allowed, unknown) = (BpfProgram::try_from(allowed)?, BpfProgram::try_from(unknown)?);
    // In this order, since the list of what is allowed has nothing by which a filter is set up.
    apply_filter(&unknown)?;
    apply_filter(&allowed)
}

fn rules(confinement: &Confinement) -> Result<Rules, Error> {
    // What is unknown is allowed here, so that the other filter's number for it counts.
    let calls = ALLOWED.iter().chain(OLDER).chain(UNKNOWN);
    let mut rules: Rules = calls.map(|call| (*call, Vec::new())).collect();
    let own = u64::from(std::process::id());
    // Threads, not processes.
    let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
    rules.insert(libc::SYS_clone, vec![only(0, SeccompCmpOp::MaskedEq(thread), thread)?]);
    // Signals to itself: what `abort` and `raise` do.
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
    // Where the host is root, most of the system's files are its own.
    if !rustix::process::getuid().is_root() {
        rules.insert(libc::SYS_fchmod, Vec::new());
    }
    if confinement.profile == Profile::Net {
        rules.extend(NET.iter().map(|call| (*call, Vec::new())));
        rules.insert(libc::SYS_socket, sockets(confinement.ports.contains(&NAMES))?);
    }
    Ok(rules)
}

/// TCP over IP; and UDP, which Landlock cannot judge, where names are to be asked for.
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
    // Pointers and flags are as wide as a register; families, kinds and process ids are the kernel's `int`.
    let length = if argument == 2 || matches!(operator, SeccompCmpOp::MaskedEq(_)) && argument == 0 {
        SeccompCmpArgLen::Qword
    } else {
        SeccompCmpArgLen::Dword
    };
    Ok(SeccompCondition::new(argument, length, operator, value)?)
}
