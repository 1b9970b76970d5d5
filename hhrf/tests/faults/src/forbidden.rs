//! Attempts at operations that the sandbox forbids.

use std::ffi::CString;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::process::Command;

/// Attempts an operation; returns `allowed`, or `refused` with the error.
pub(crate) fn attempt(what: &str, argument: &str) -> String {
    let outcome = match what {
        "read" => std::fs::read(argument).map(drop),
        "list" => std::fs::read_dir(argument).map(drop),
        "write" => std::fs::write(argument, b"x"),
        "remove" => std::fs::remove_file(argument),
        "chmod" => chmod(argument),
        "connect" => TcpStream::connect(argument).map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "udp" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "unix" => std::os::unix::net::UnixStream::connect(argument).map(drop),
        "exec" => Command::new("/bin/true").status().map(drop),
        "fork" => fork(),
        "signal" => signal(argument),
        "ptrace" => call(libc::SYS_ptrace, [libc::c_long::from(libc::PTRACE_TRACEME), 0, 0, 0]),
        "mount" => mount(),
        // Both with invalid arguments: the error shows whether the sandbox or the call itself refuses.
        "bpf" => call(libc::SYS_bpf, [0, 0, 0, 0]),
        "io_uring" => call(libc::SYS_io_uring_setup, [1, 0, 0, 0]),
        "unshare" => call(libc::SYS_unshare, [libc::c_long::from(libc::CLONE_NEWUSER), 0, 0, 0]),
        "death-signal" => call(libc::SYS_prctl, [libc::c_long::from(libc::PR_SET_PDEATHSIG), 0, 0, 0]),
        "raise-limit" => raise_limit(),
        "session" => call(libc::SYS_setsid, [0, 0, 0, 0]),
        "thread" => std::thread::Builder::new().spawn(|| ()).map(drop),
        _ => return "unknown".to_owned(),
    };
    match outcome {
        Ok(()) => "allowed".to_owned(),
        Err(error) => format!("refused: {error}"),
    }
}

fn call(number: libc::c_long, [a, b, c, d]: [libc::c_long; 4]) -> io::Result<()> {
    // SAFETY: no argument is a pointer that could be followed.
    check(unsafe { libc::syscall(number, a, b, c, d) })
}

fn check(code: libc::c_long) -> io::Result<()> {
    if code == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn fork() -> io::Result<()> {
    // SAFETY: the child, if any, exits at once.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // SAFETY: ends the process.
        unsafe { libc::_exit(0) }
    }
    check(pid.into())
}

fn signal(pid: &str) -> io::Result<()> {
    let pid = pid.parse().map_err(io::Error::other)?;
    // SAFETY: signal 0 sends nothing, and only checks the permission.
    check(unsafe { libc::kill(pid, 0) }.into())
}

fn chmod(path: &str) -> io::Result<()> {
    let path = CString::new(path)?;
    // SAFETY: the path ends in NUL.
    check(unsafe { libc::chmod(path.as_ptr(), 0o777) }.into())
}

fn mount() -> io::Result<()> {
    let (source, target) = (c"none", c"/tmp");
    // SAFETY: all strings end in NUL.
    check(
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), c"tmpfs".as_ptr(), 0, std::ptr::null()) }
            .into(),
    )
}

fn raise_limit() -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
    // SAFETY: the limit is a valid struct.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) }.into())
}
