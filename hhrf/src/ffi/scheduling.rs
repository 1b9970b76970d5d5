//! How the kernel schedules the host's own threads (`sched(7)`).
//!
//! A runner that answers wakes the worker that waits for it. Where both share a core, the worker would take it at once,
//! for this one answer, and the runner would have to be switched to again for the next call in its queue. So workers are
//! batch threads: their waking interrupts nobody, and they find all answers that there are by then. On a core that is
//! free they start as soon as ever.

use std::cell::Cell;

/// For each thread of the runtime when it starts. Makes it one whose waking does not interrupt others. Threads and processes that it starts are ordinary ones.
pub fn be_patient() {
    set(Policy::Patient);
}

/// Undoes [`be_patient`], the first time that a thread calls it.
pub(crate) fn be_ordinary() {
    thread_local!(static ORDINARY: Cell<bool> = const { Cell::new(false) });
    if !ORDINARY.replace(true) {
        set(Policy::Ordinary);
    }
}

enum Policy {
    Patient,
    Ordinary,
}

/// What cannot be set costs speed alone.
#[cfg(target_os = "linux")]
fn set(policy: Policy) {
    let policy = match policy {
        Policy::Patient => libc::SCHED_BATCH | libc::SCHED_RESET_ON_FORK,
        Policy::Ordinary => libc::SCHED_OTHER,
    };
    // SAFETY: all zeroes is a valid value of this struct, and the priority that these policies ask for.
    let parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    // SAFETY: 0 is this thread; the struct is there.
    if unsafe { libc::sched_setscheduler(0, policy, &raw const parameters) } != 0 {
        tracing::debug!("a thread keeps its policy: {}", std::io::Error::last_os_error());
    }
}

#[cfg(not(target_os = "linux"))]
fn set(_: Policy) {}
