//! How the kernel schedules the host's own threads (`sched(7)`).
//!
//! A runner that answers wakes the worker that waits for it. Where both share a core, the worker would take it at once,
//! for this one answer, and the runner would have to be switched to again for the next call in its queue. So workers are
//! batch threads: their waking interrupts nobody, and they find all answers that there are by then. On a core that is
//! free they start as soon as ever.
//!
//! All of them ask for short turns. What the kernel gives a thread by default, more than a millisecond, is enough for
//! hundreds of calls, while dozens of others that have slept in a function wake up, to have their turns one after the
//! other: all wait for the longest. Who asks for less is due earlier (Linux 6.12 and later; before it changes nothing).

use std::cell::Cell;
#[cfg(target_os = "linux")]
use std::time::Duration;

/// The least that the kernel gives.
#[cfg(target_os = "linux")]
const TURN: Duration = Duration::from_micros(100);

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
    // SAFETY: all zeroes is a valid value of this struct.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // Read first, since the nice value is set with the rest: the operator's is kept.
    let size = size_of::<libc::sched_attr>();
    // SAFETY: 0 is this thread, and has no flags; the struct is there, and as long.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    attributes.sched_policy = policy.unsigned_abs();
    attributes.sched_runtime = TURN.as_nanos().try_into().unwrap_or_default();
    // SAFETY: as above; the kernel has written into the struct how long it is.
    let set = || unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if read != 0 || set() != 0 {
        tracing::debug!("a thread keeps its policy: {}", std::io::Error::last_os_error());
    }
}

#[cfg(not(target_os = "linux"))]
fn set(_: Policy) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// In nanoseconds, and the nice value.
    fn turn() -> (u64, i32) {
        // SAFETY: all zeroes is a valid value of this struct.
        let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::sched_attr>();
        // SAFETY: 0 is this thread; the struct is there, and as long.
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        (attributes.sched_runtime, attributes.sched_nice)
    }

    #[test]
    fn a_thread_of_the_host_has_short_turns_and_stays_as_nice_as_it_was() {
        let thread = std::thread::spawn(|| {
            // SAFETY: takes plain values; 0 is this thread.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 3) };
            let before = turn();
            worker_started();
            (before, turn())
        });
        let ((before, nice), after) = thread.join().unwrap();
        assert_eq!(nice, 3);
        // A kernel before 6.12 has turns of its own.
        let expected = if before == 0 { 0 } else { 100_000 };
        assert_eq!(after, (expected, 3));
    }

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
