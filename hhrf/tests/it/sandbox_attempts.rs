//! The ways out of a sandbox that a function in C could try, by kind: each is refused, and what functions need works.

use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use fezz_testkit::{Host, Running, c_library};
use serde_json::{Value, json};

const SOURCE: &str = include_str!("attempts.c");
const NAME: &str = "try@1.0.0";

/// The library that attempts what it is told to.
pub(crate) fn attempts(host: &Host) -> PathBuf {
    c_library(host.root(), "attempts", SOURCE)
}

/// The same, which fails to start where a file is open that is not its own.
pub(crate) fn wary_attempts(host: &Host) -> PathBuf {
    c_library(host.root(), "wary", &format!("#define REFUSE_OPEN_FILES\n{SOURCE}"))
}

/// A host with that function, isolated, in one worker at a time.
pub(crate) fn attempting(more: &Value) -> Host {
    with_attempts(Host::new(), more)
}

pub(crate) fn with_attempts(host: Host, more: &Value) -> Host {
    let mut keys = json!({ "isolation": "process", "workers": { "max": 1 } });
    for (key, value) in more.as_object().expect("an object") {
        keys[key] = value.clone();
    }
    let library = attempts(&host);
    host.function_with(NAME, &library, &[("POST", "/{*what}")], keys)
}

/// What came of an attempt.
#[track_caller]
pub(crate) fn attempt(host: &Running, what: &str, arguments: &str) -> String {
    let path = format!("/rpc/{NAME}/{what}");
    host.request("POST", &path, &[], arguments.as_bytes()).assert_status(200).text().to_owned()
}

/// The sandbox must have refused it, not the kernel for another reason: that would pass elsewhere.
#[track_caller]
fn assert_refused(host: &Running, what: &str, arguments: &str) {
    let outcome = attempt(host, what, arguments);
    let by_the_sandbox = ["Operation not permitted", "Permission denied", "Function not implemented"];
    let refused = outcome.strip_prefix("refused: ").is_some_and(|error| by_the_sandbox.contains(&error));
    assert!(refused, "{what} {arguments}: {outcome}");
}

#[track_caller]
fn assert_allowed(host: &Running, what: &str, arguments: &str) {
    let outcome = attempt(host, what, arguments);
    assert!(!outcome.starts_with("refused"), "{what} {arguments}: {outcome}");
}

#[test]
fn no_datagram_leaves_by_a_path() {
    let host = attempting(&json!({})).start();
    let path = host.host().root().join("outside.sock");
    let outside = UnixDatagram::bind(&path).expect("bound");
    outside.set_nonblocking(true).expect("set");
    let path = path.to_str().expect("UTF-8");
    assert_refused(&host, "datagram", path);
    assert_refused(&host, "raw-datagram", path);
    let mut received = [0; 16];
    outside.recv(&mut received).expect_err("nothing arrives");
    assert_refused(&host, "call/socketpair", "1 2 0 &");
    // With both flags; and with bits that the kernel does not know.
    assert_refused(&host, "call/socketpair", "1 0x80802 0 &");
    assert_refused(&host, "call/socketpair", "2 1 0 &");
    assert_allowed(&host, "call/socketpair", "1 0x80801 0 &");
    assert_allowed(&host, "call/socketpair", "1 5 0 &");
}

#[test]
fn net_has_tcp_to_its_ports_and_no_other_protocol() {
    let (listed, other) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let port = |listener: &std::io::Result<TcpListener>| {
        listener.as_ref().expect("bound").local_addr().expect("bound").port().to_string()
    };
    let (listed, other) = (port(&listed), port(&other));
    let ports: u16 = listed.parse().expect("a port");
    let host = attempting(&json!({ "sandbox": "net", "ports": [ports] })).start();
    assert_allowed(&host, "tcp", &listed);
    assert_allowed(&host, "option/no-delay", "");
    assert_refused(&host, "tcp", &other);
    for port in [&listed, &other] {
        for protocol in ["mptcp", "smc", "sctp", "sctp-packets", "udp", "udplite", "ping", "raw"] {
            assert_refused(&host, protocol, port);
        }
        for how in ["sendto", "sendmsg", "sendmmsg"] {
            assert_refused(&host, &format!("fast-open/{how}"), port);
        }
    }
    assert_refused(&host, "option/ulp", "");
    assert_refused(&host, "option/fast-open", "");
    // Unix, packet, netlink, vsock and kernel-crypto sockets; listening.
    for family in ["1 1 0", "17 3 0", "16 3 0", "40 1 0", "38 5 0", "10 1 262"] {
        assert_refused(&host, "call/socket", family);
    }
    assert_refused(&host, "call/listen", "0 1");
    assert_refused(&host, "call/accept4", "0 0 0 0");
    let missing = host.status(NAME)["isolation"]["missing"].to_string();
    assert!(!missing.contains("UDP"), "{missing}");
}

#[test]
fn udp_with_port_53_is_udp_and_listed_as_not_limited() {
    let outside = UdpSocket::bind("127.0.0.1:0").expect("bound");
    let port = outside.local_addr().expect("bound").port().to_string();
    let host = attempting(&json!({ "sandbox": "net", "ports": [53] })).start();
    assert_allowed(&host, "udp", &port);
    for protocol in ["udplite", "ping", "raw"] {
        assert_refused(&host, protocol, &port);
    }
    let missing = host.status(NAME)["isolation"]["missing"].to_string();
    assert!(missing.contains("rules for UDP"), "{missing}");
}

#[test]
fn no_signal_reaches_another_process() {
    let host = attempting(&json!({})).start();
    let pid = host.serving_pid();
    for (what, arguments) in [
        ("call/kill", format!("{pid} 0")),
        ("call/kill", "-1 0".to_owned()),
        ("call/kill", "0 0".to_owned()),
        ("call/tkill", format!("{pid} 0")),
        ("call/tgkill", format!("{pid} {pid} 0")),
        ("call/rt_sigqueueinfo", format!("{pid} 0 &")),
        ("call/rt_tgsigqueueinfo", format!("{pid} {pid} 0 &")),
        ("call/pidfd_open", format!("{pid} 0")),
        ("call/pidfd_send_signal", "0 0 0 0".to_owned()),
        ("call/prlimit64", format!("{pid} 0 &")),
        ("call/prctl", "1 9".to_owned()),
    ] {
        assert_refused(&host, what, &arguments);
    }
    for how in ["F_SETOWN", "F_SETOWN_EX", "F_SETSIG", "O_ASYNC", "FIOSETOWN", "SIOCSPGRP", "FIOASYNC"] {
        assert_refused(&host, &format!("owner/{how}"), &pid.to_string());
    }
    assert_allowed(&host, "owner/O_NONBLOCK", "0");
}

#[test]
fn no_other_process_is_touched() {
    let host = attempting(&json!({})).start();
    let pid = host.serving_pid();
    for (what, arguments) in [
        ("call/sched_setaffinity", format!("{pid} 128 &")),
        ("call/sched_setscheduler", format!("{pid} 0 &")),
        ("call/sched_setparam", format!("{pid} &")),
        ("call/sched_setattr", format!("{pid} & 0")),
        ("call/setpriority", format!("0 {pid} 19")),
        ("call/getpriority", format!("0 {pid}")),
        ("call/ioprio_set", format!("1 {pid} 0")),
        ("call/prlimit64", format!("{pid} 7 0 &")),
        ("call/ptrace", format!("16 {pid} 0 0")),
        ("call/process_vm_readv", format!("{pid} & 1 & 1 0")),
        ("call/process_vm_writev", format!("{pid} & 1 & 1 0")),
        ("call/process_madvise", "0 & 1 0 0".to_owned()),
        ("call/migrate_pages", format!("{pid} 0 & &")),
        ("call/move_pages", format!("{pid} 0 & & & 0")),
        ("call/kcmp", format!("{pid} {pid} 0 0 0")),
        ("call/perf_event_open", format!("& {pid} -1 -1 0")),
        ("call/get_robust_list", format!("{pid} & &")),
        ("call/setpgid", format!("{pid} 0")),
        ("call/getpgid", pid.to_string()),
        ("call/getsid", pid.to_string()),
        ("call/setns", "0 0".to_owned()),
    ] {
        assert_refused(&host, what, &arguments);
    }
    for (what, arguments) in
        [("call/prlimit64", "0 7 0 &"), ("call/sched_getaffinity", "0 128 &"), ("call/getpgid", "0")]
    {
        assert_allowed(&host, what, arguments);
    }
}

#[test]
fn no_other_path_is_touched_or_watched() {
    let host = attempting(&json!({})).start();
    let root = host.host().root();
    let path = root.join("outside");
    std::fs::write(&path, "x").expect("written");
    let before = std::fs::metadata(&path).expect("there").modified().expect("a time");
    let path = path.to_str().expect("UTF-8");
    let folder = root.to_str().expect("UTF-8");
    let mut calls = vec![
        ("call/utimensat", format!("-100 '{path} & 0")),
        ("call/utimensat", format!("-100 '{path} 0 0")),
        ("call/fchmodat", format!("-100 '{path} 511")),
        ("call/fchownat", format!("-100 '{path} 0 0 0")),
        ("call/setxattr", format!("'{path} 'user.x 'x 1 0")),
        ("call/lsetxattr", format!("'{path} 'user.x 'x 1 0")),
        ("call/removexattr", format!("'{path} 'user.x")),
        ("call/truncate", format!("'{path} 0")),
        ("call/mknodat", format!("-100 '{path}.new 4096 0")),
        ("call/name_to_handle_at", format!("-100 '{path} & & 0")),
        ("call/inotify_add_watch", format!("0 '{folder} 4095")),
        ("call/inotify_init1", "0".to_owned()),
        ("call/fanotify_init", "0 0".to_owned()),
        ("call/fanotify_mark", format!("0 1 4095 -100 '{folder}")),
    ];
    if cfg!(target_arch = "x86_64") {
        calls.extend([
            ("call/utime", format!("'{path} &")),
            ("call/utimes", format!("'{path} &")),
            ("call/futimesat", format!("-100 '{path} &")),
            ("call/chmod", format!("'{path} 511")),
            ("call/chown", format!("'{path} 0 0")),
            ("call/inotify_init", String::new()),
        ]);
    }
    for (what, arguments) in calls {
        assert_refused(&host, what, &arguments);
    }
    assert_eq!(std::fs::metadata(path).expect("there").modified().expect("a time"), before);
    // What it may read is not its own either.
    for how in ["lease", "notify", "attributes", "xattr", "fchown"] {
        assert_refused(&host, &format!("file/{how}"), "/etc/ld.so.cache");
    }
    if rustix::process::geteuid().is_root() {
        for how in ["futimens", "fchmod"] {
            assert_refused(&host, &format!("file/{how}"), "/etc/ld.so.cache");
        }
    }
}

#[test]
fn no_other_door_to_the_kernel_is_open() {
    let host = attempting(&json!({})).start();
    for (what, arguments) in [
        ("call/userfaultfd", "0"),
        ("call/bpf", "0 & 0"),
        ("call/keyctl", "0 0 0"),
        ("call/add_key", "'user 'x 'x 1 -2"),
        ("call/request_key", "'user 'x 0 -2"),
        ("call/io_uring_setup", "1 &"),
        ("call/io_uring_enter", "0 0 0 0 0 0"),
        ("call/seccomp", "0 0 0"),
        ("call/landlock_create_ruleset", "0 0 1"),
        ("call/unshare", "0x10000000"),
        ("call/clone", "17 0"),
        ("call/clone", "0x10000011 0"),
        // A thread, with a namespace of its own.
        ("call/clone", "0x40010f00 0"),
        ("call/clone3", "& 88"),
        ("call/execve", "'/bin/true 0 0"),
        ("call/execveat", "-100 '/bin/true 0 0 0"),
        ("call/mount", "'none '/tmp 'tmpfs 0 0"),
        ("call/umount2", "'/tmp 0"),
        ("call/open_tree", "-100 '/ 1"),
        ("call/move_mount", "-1 ' -1 ' 0"),
        ("call/fsopen", "'tmpfs 0"),
        ("call/chroot", "'/"),
        ("call/pivot_root", "'/ '/"),
        ("call/mq_open", "'x 0 0 0"),
        ("call/shmget", "1 4096 512"),
        ("call/msgget", "1 512"),
        ("call/semget", "1 1 512"),
        ("call/personality", "0"),
        ("call/setuid", "0"),
        ("call/quotactl", "0 0 0 0"),
        ("call/init_module", "& 0 '"),
        ("call/syslog", "3 & 10"),
        ("call/vmsplice", "1 & 0 0"),
        ("call/memfd_secret", "0"),
        ("call/memfd_create", "'x 4"),
    ] {
        assert_refused(&host, what, arguments);
    }
    assert_allowed(&host, "call/memfd_create", "'x 1");
    // Memory that no limit counts: shared, and anonymous.
    for kind in ["0x21", "0x23"] {
        assert_refused(&host, "call/mmap", &format!("0 4096 3 {kind} -1 0"));
    }
    assert_allowed(&host, "call/mmap", "0 4096 3 0x22 -1 0");
    if cfg!(target_arch = "x86_64") {
        for (what, arguments) in
            [("fork", ""), ("vfork", ""), ("iopl", "3"), ("ioperm", "0 1 1"), ("mknod", "'x 0 0")]
        {
            assert_refused(&host, &format!("call/{what}"), arguments);
        }
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn the_doors_of_other_architectures_are_shut() {
    let host = attempting(&json!({})).start();
    let pid = host.serving_pid();
    // The numbers of x32: also of calls that are allowed by their own number.
    for (what, arguments) in
        [("dup", "0".to_owned()), ("kill", format!("{pid} 0")), ("utimensat", "0 0 0 0".to_owned())]
    {
        assert_refused(&host, &format!("x32/{what}"), &arguments);
    }
    // The 32-bit door, even for a harmless call.
    host.request("POST", &format!("/rpc/{NAME}/int80"), &[], b"").assert_problem(502);
    let line = host.wait_for_log(|line| line.message().contains("worker crashed"));
    assert!(line.message().contains("SIGSYS"), "{line:?}");
}

#[test]
fn what_is_enforced_is_listed_and_so_is_what_is_not() {
    let host = attempting(&json!({})).start();
    assert_allowed(&host, "owner/O_NONBLOCK", "");
    let status = host.status(NAME);
    let (enforced, missing) = (&status["isolation"]["enforced"], &status["isolation"]["missing"]);
    let says = |list: &Value, part: &str| list.to_string().contains(part);
    for part in ["rules for files", "filter of system calls", "RLIMIT_DATA", "no core dumps"] {
        assert!(says(enforced, part), "no `{part}` in {status:#}");
    }
    // On each kernel in one of the two lists.
    for part in ["scopes of signals", "control group"] {
        assert_ne!(says(enforced, part), says(missing, part), "`{part}` in {status:#}");
    }
}
