//! How the kernel schedules the host's own threads (`sched(7)`).
//!
//! A blocking thread that answers a call wakes the runtime thread that waits for the answer. If both share a core, the
//! runtime thread would preempt it for this one answer, and the next call in the queue would cost another switch. So
//! runtime threads are `SCHED_BATCH`: waking one preempts nobody, and it finds all answers that are there by then. On an
//! idle core it starts without delay.
//!
//! All of them ask for a short slice. The kernel's default of more than a millisecond is enough for hundreds of calls,
//! while other threads that have slept in a function wait. A shorter EEVDF slice gives an earlier virtual deadline
//! (Linux 6.12 and later; before, it changes nothing).

use std::cell::Cell;
#[cfg(target_os = "linux")]
use std::time::Duration;

/// The slice: the shortest that the kernel gives.
#[cfg(target_os = "linux")]
const SLICE: Duration = Duration::from_micros(100);

/// For each thread of the tokio runtime, when it starts.
pub fn runtime_thread_started() {
    set_policy(Policy::Batch);
}

/// A thread's scheduling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `SCHED_BATCH`: waking up preempts no other thread. Threads and processes that it starts inherit the policy:
    /// `SCHED_RESET_ON_FORK` is for other policies.
    Batch,
    /// `SCHED_OTHER`: may preempt on waking up.
    Normal,
}

/// Gives this thread a policy; a comparison where it has it already.
pub fn set_policy(policy: Policy) {
    thread_local!(static NOW: Cell<Policy> = const { Cell::new(Policy::Normal) });
    if NOW.replace(policy) != policy {
        apply(policy);
    }
}

/// A failure costs speed alone, so it is only logged.
#[cfg(target_os = "linux")]
fn apply(policy: Policy) {
    let policy = match policy {
        Policy::Batch => libc::SCHED_BATCH,
        Policy::Normal => libc::SCHED_OTHER,
    };
    // SAFETY: all zeroes is a valid value of this struct.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // Read first, since the nice value is set with the rest: the operator's is kept.
    let size = size_of::<libc::sched_attr>();
    // SAFETY: 0 is this thread, and has no flags; the struct is there, and as long.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    attributes.sched_policy = policy.unsigned_abs();
    attributes.sched_runtime = SLICE.as_nanos().try_into().unwrap_or_default();
    // SAFETY: as above; the kernel has written into the struct how long it is.
    let set = || unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    if read != 0 || set() != 0 {
        tracing::debug!("a thread keeps its policy: {}", std::io::Error::last_os_error());
    }
}

#[cfg(not(target_os = "linux"))]
fn apply(_: Policy) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// In nanoseconds, and the nice value.
    fn slice() -> (u64, i32) {
        // SAFETY: all zeroes is a valid value of this struct.
        let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::sched_attr>();
        // SAFETY: 0 is this thread; the struct is there, and as long.
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        (attributes.sched_runtime, attributes.sched_nice)
    }

    #[test]
    fn a_runtime_thread_has_a_short_slice_and_keeps_its_nice_value() {
        let thread = std::thread::spawn(|| {
            // SAFETY: takes plain values; 0 is this thread.
            unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 3) };
            let before = slice();
            runtime_thread_started();
            (before, slice())
        });
        let ((before, nice), after) = thread.join().unwrap();
        assert_eq!(nice, 3);
        // A kernel before 6.12 has no slice of its own.
        let expected = if before == 0 { 0 } else { 100_000 };
        assert_eq!(after, (expected, 3));
    }

    /// Of this thread.
    fn policy() -> libc::c_int {
        // SAFETY: 0 is this thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_policy_can_be_changed_and_is_inherited() {
        let thread = std::thread::spawn(|| {
            let before = policy();
            runtime_thread_started();
            let (patient, started) = (policy(), std::thread::spawn(policy).join());
            set_policy(Policy::Normal);
            let ordinary = policy();
            set_policy(Policy::Batch);
            (before, patient, started.unwrap(), ordinary, policy())
        });
        let (batch, other) = (libc::SCHED_BATCH, libc::SCHED_OTHER);
        assert_eq!(thread.join().unwrap(), (other, batch, batch, other, batch));
    }
}
