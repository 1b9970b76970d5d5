//! The environment of this process.
//!
//! Functions in the process, and libc for them, read it too. So a process that loads functions has next to nothing in it:
//! what it was started with is taken out before anything is loaded, and kept for the host alone.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;
use std::{env, io};

/// What stays: where programs are, and in which language they speak; what std and tokio read for the host when they come to
/// it; and the sockets that systemd has passed to a host without a supervisor.
const KEPT: [&str; 7] =
    ["PATH", "LANG", "RUST_BACKTRACE", "TOKIO_WORKER_THREADS", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];
/// What functions have of it.
const SHARED: [&str; 2] = ["PATH", "LANG"];

/// The environment that this process was started with, once it was taken out.
static TAKEN: OnceLock<BTreeMap<OsString, OsString>> = OnceLock::new();

/// Takes the environment out of the process; [`started_with`] has it from here on.
///
/// # Errors
/// If the process has more than one thread, since another one may be reading it; or if that cannot be told.
#[expect(clippy::disallowed_methods, reason = "safe where there is one thread")]
pub fn take_environment() -> io::Result<()> {
    must_be_alone()?;
    let all: BTreeMap<_, _> = env::vars_os().collect();
    for name in all.keys().filter(|name| !KEPT.iter().any(|kept| *name == kept)) {
        erase(name);
        // SAFETY: no other thread reads the environment, since there is none.
        unsafe { env::remove_var(name) };
    }
    // Taken once: a second time there is nothing more to take.
    let _ = TAKEN.set(all);
    Ok(())
}

/// Overwrites a variable where it is: `/proc/self/environ` shows that memory.
fn erase(name: &OsStr) {
    let Ok(name) = std::ffi::CString::new(name.as_bytes()) else { return };
    // SAFETY: a text that is terminated.
    let value = unsafe { libc::getenv(name.as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: the variable's value, which is terminated.
    let length = unsafe { libc::strlen(value) };
    // SAFETY: the process' own memory up to the NUL, which nothing refers to after the removal that follows.
    unsafe { value.write_bytes(0, length) };
}

/// A variable that this process was started with.
#[must_use]
pub fn started_with(name: &str) -> Option<OsString> {
    match TAKEN.get() {
        Some(taken) => taken.get(OsStr::new(name)).cloned(),
        None => env::var_os(name),
    }
}

/// What every process has in which functions run: `PATH` and `LANG`, as the host has them.
pub fn shared_environment() -> impl Iterator<Item = (&'static str, OsString)> {
    SHARED.into_iter().filter_map(|name| Some((name, started_with(name)?)))
}

/// Sets these environment variables of this process.
///
/// # Errors
/// As for [`take_environment`].
#[expect(clippy::disallowed_methods, reason = "safe where there is one thread")]
pub fn set_environment(variables: impl IntoIterator<Item = (String, String)>) -> io::Result<()> {
    must_be_alone()?;
    for (name, value) in variables {
        // SAFETY: no other thread reads the environment, since there is none.
        unsafe { env::set_var(name, value) };
    }
    Ok(())
}

fn must_be_alone() -> io::Result<()> {
    match std::fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        threads => Err(io::Error::other(format!("the environment of a process with {threads} threads"))),
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_keeps_its_environment() {
        // The test runs on one, beside the main one.
        let set = || set_environment([("FEZZ_TEST_VARIABLE".to_owned(), "x".to_owned())]);
        let error = std::thread::spawn(set).join().unwrap().unwrap_err();
        assert!(error.to_string().contains("threads"), "{error}");
        assert!(std::env::var_os("FEZZ_TEST_VARIABLE").is_none());
        let taken = std::thread::spawn(take_environment).join().unwrap();
        assert!(taken.is_err() && std::env::var_os("PATH").is_some());
    }
}
