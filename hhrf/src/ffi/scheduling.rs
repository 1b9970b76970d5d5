//! How the kernel schedules the host's own threads (`sched(7)`).
//!
//! A runner that answers wakes the worker that waits for it. Where both share a core, the worker would take it at once,
//! for this one answer, and the runner would have to be switched to again for the next call in its queue. So workers are
//! batch threads: their waking interrupts nobody, and they find all answers that there are by then. On a core that is
//! free they start as soon as ever.

use std::cell::Cell;

/// For each thread of the runtime when it starts.
pub fn worker_started() {
    be(Policy::Patient);
}

/// What becomes of a thread that wakes up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Policy {
    /// It runs when its turn comes, and interrupts nobody. So do the threads and processes that it starts, unless they say
    /// otherwise: `SCHED_RESET_ON_FORK` is for other policies.
    Patient,
    /// It may interrupt who runs.
    Ordinary,
}

/// Gives this thread a policy; costs nothing where it has it.
pub(crate) fn be(policy: Policy) {
    thread_local!(static NOW: Cell<Policy> = const { Cell::new(Policy::Ordinary) });
    if NOW.replace(policy) != policy {
        set(policy);
    }
}

/// What cannot be set costs speed alone.
#[cfg(target_os = "linux")]
fn set(policy: Policy) {
    let policy = match policy {
        Policy::Patient => libc::SCHED_BATCH,
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// Of this thread.
    fn policy() -> libc::c_int {
        // SAFETY: 0 is this thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_thread_goes_from_one_policy_to_the_other_and_hands_it_on() {
        let thread = std::thread::spawn(|| {
            let before = policy();
            worker_started();
            let (patient, started) = (policy(), std::thread::spawn(policy).join());
            be(Policy::Ordinary);
            let ordinary = policy();
            be(Policy::Patient);
            (before, patient, started.unwrap(), ordinary, policy())
        });
        let (batch, other) = (libc::SCHED_BATCH, libc::SCHED_OTHER);
        assert_eq!(thread.join().unwrap(), (other, batch, batch, other, batch));
    }
}
