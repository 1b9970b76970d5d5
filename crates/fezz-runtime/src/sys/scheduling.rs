//! Scheduling policy and time slice of the host's threads (`sched(7)`).
//!
//! A blocking thread that answers a call wakes the runtime thread that waits for the answer. On a shared core the runtime
//! thread would preempt it for each answer, at the cost of two context switches. So runtime threads are `SCHED_BATCH`: on
//! waking up they preempt no other thread, and then find all answers that have arrived. On an idle core they start without
//! delay.
//!
//! All of them have a short slice. The kernel's default of more than a millisecond is enough for hundreds of calls, while
//! threads that have slept in a function wait. A shorter EEVDF slice gives an earlier virtual deadline (Linux 6.12 and
//! later; before, it changes nothing).

use std::cell::Cell;
#[cfg(target_os = "linux")]
use std::time::Duration;

/// Slice of a runtime thread: the shortest that the kernel grants.
#[cfg(target_os = "linux")]
const SLICE: Duration = Duration::from_micros(100);

/// To be called by each thread of the tokio runtime when it starts.
pub fn runtime_thread_started() {
    set_policy(Policy::Batch);
}

/// A thread's scheduling policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// `SCHED_BATCH`: preempts no other thread on waking up. Its threads and child processes inherit the policy, since
    /// `SCHED_RESET_ON_FORK` does not reset this one.
    Batch,
    /// `SCHED_OTHER`: may preempt other threads on waking up.
    Normal,
}

/// Sets this thread's policy. Costs a comparison if it has it already.
pub fn set_policy(policy: Policy) {
    thread_local!(static NOW: Cell<Policy> = const { Cell::new(Policy::Normal) });
    if NOW.replace(policy) != policy {
        apply(policy);
    }
}

/// A failure only costs speed, so it is logged and ignored.
#[cfg(target_os = "linux")]
fn apply(policy: Policy) {
    let policy = match policy {
        Policy::Batch => libc::SCHED_BATCH,
        Policy::Normal => libc::SCHED_OTHER,
    };
    // SAFETY: all zeroes is a valid value of this struct.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    // Read first: the nice value is part of the struct, and the operator's is kept.
    let size = size_of::<libc::sched_attr>();
    // SAFETY: 0 is this thread; no flags; the struct is valid and of this size.
    let read = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
    attributes.sched_policy = policy.unsigned_abs();
    attributes.sched_runtime = SLICE.as_nanos().try_into().unwrap_or_default();
    // SAFETY: as above; the kernel has written the size into the struct.
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

    /// This thread's slice in nanoseconds, and its nice value.
    fn slice() -> (u64, i32) {
        // SAFETY: all zeroes is a valid value of this struct.
        let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
        let size = size_of::<libc::sched_attr>();
        // SAFETY: as in `apply`.
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
        // A kernel before 6.12 reports no slice.
        let expected = if before == 0 { 0 } else { 100_000 };
        assert_eq!(after, (expected, 3));
    }

    /// This thread's policy.
    fn policy() -> libc::c_int {
        // SAFETY: 0 is this thread.
        unsafe { libc::sched_getscheduler(0) }
    }

    #[test]
    fn a_policy_can_be_changed_and_is_inherited() {
        let thread = std::thread::spawn(|| {
            let before = policy();
            runtime_thread_started();
            let (batch, inherited) = (policy(), std::thread::spawn(policy).join());
            set_policy(Policy::Normal);
            let normal = policy();
            set_policy(Policy::Batch);
            (before, batch, inherited.unwrap(), normal, policy())
        });
        let (batch, other) = (libc::SCHED_BATCH, libc::SCHED_OTHER);
        assert_eq!(thread.join().unwrap(), (other, batch, batch, other, batch));
    }
}
