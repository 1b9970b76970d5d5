//! Signal dispositions of the host. They belong to the process, and a function's library can replace them: the `ctrlc`
//! crate does, and so does the runtime of Go.

use std::ffi::c_int;
use std::ptr;
use std::sync::{Mutex, PoisonError};

/// The signals by which the host ends, hears of its children and does without SIGPIPE. Not those of faults: runtimes that
/// handle them need that, and pass on what is not theirs.
const OWN: [(c_int, &str); 5] = [
    (libc::SIGTERM, "SIGTERM"),
    (libc::SIGINT, "SIGINT"),
    (libc::SIGHUP, "SIGHUP"),
    (libc::SIGCHLD, "SIGCHLD"),
    (libc::SIGPIPE, "SIGPIPE"),
];

/// The dispositions as the host wants them; none before they were remembered.
static REMEMBERED: Mutex<Option<[libc::sigaction; OWN.len()]>> = Mutex::new(None);

/// Remembers the present dispositions as the host's own.
pub fn remember_dispositions() {
    let all = OWN.map(|(signal, _)| disposition(signal));
    *REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner) = Some(all);
}

/// Puts back those that have been replaced since they were remembered; answers with the names of their signals.
#[must_use]
pub fn restore_dispositions() -> Vec<&'static str> {
    let remembered = REMEMBERED.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(remembered) = remembered.as_ref() else { return Vec::new() };
    let mut replaced = Vec::new();
    for ((signal, name), own) in OWN.iter().zip(remembered) {
        if disposition(*signal).sa_sigaction == own.sa_sigaction {
            continue;
        }
        // SAFETY: the struct is what the kernel has given before.
        if unsafe { libc::sigaction(*signal, own, ptr::null_mut()) } == 0 {
            replaced.push(*name);
        }
    }
    replaced
}

fn disposition(signal: c_int) -> libc::sigaction {
    // SAFETY: all zeroes is a valid value of this struct.
    let mut present: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: asks only, and the struct is valid. It fails for unknown signals alone.
    unsafe { libc::sigaction(signal, ptr::null(), &raw mut present) };
    present
}
