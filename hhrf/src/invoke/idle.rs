//! Threads that have run out of work, and stay for a while.
//!
//! Giving one of them its next work takes one system call, which wakes it, and that after all locks are free. tokio's
//! pool of blocking threads wakes its threads under the lock that they ask for first.

use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// How long a thread waits for work; as long as one of tokio's pool, to which it goes then.
const LINGER: Duration = Duration::from_secs(10);

/// Where a thread waits.
#[derive(Debug)]
pub(super) struct Seat<T> {
    thread: Thread,
    slot: Mutex<Slot<T>>,
}

#[derive(Debug)]
enum Slot<T> {
    Empty,
    Given(T),
    /// Nobody waits here any more.
    Left,
}

impl<T> Seat<T> {
    /// This thread's.
    pub(super) fn here() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), slot: Mutex::new(Slot::Empty) })
    }

    /// Waits for work; none where nobody has any for long, or those that had some are gone.
    pub(super) fn wait(&self) -> Option<T> {
        let until = Instant::now() + LINGER;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let mut slot = self.slot();
            match mem::replace(&mut *slot, Slot::Empty) {
                Slot::Given(work) => return Some(work),
                Slot::Empty if !left.is_zero() => {}
                Slot::Empty | Slot::Left => {
                    *slot = Slot::Left;
                    return None;
                }
            }
            drop(slot);
            thread::park_timeout(left);
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<T>> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Those that wait. The one that came last is the first to go: its memory is still in the core's caches.
#[derive(Debug)]
pub(super) struct Idle<T>(Vec<Arc<Seat<T>>>);

impl<T> Idle<T> {
    /// The thread of this seat is about to wait.
    pub(super) fn add(&mut self, seat: &Arc<Seat<T>>) {
        self.0.push(Arc::clone(seat));
    }

    /// Gives work to a thread, which is yet to be woken; or returns it where none waits.
    pub(super) fn give(&mut self, work: T) -> Result<Thread, T> {
        while let Some(seat) = self.0.pop() {
            let mut slot = seat.slot();
            if matches!(*slot, Slot::Empty) {
                *slot = Slot::Given(work);
                return Ok(seat.thread.clone());
            }
        }
        Err(work)
    }
}

impl<T> Default for Idle<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Drop for Idle<T> {
    fn drop(&mut self) {
        for seat in &self.0 {
            *seat.slot() = Slot::Left;
            seat.thread.unpark();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_came_last_is_the_first_to_go_and_none_waits_in_vain() {
        let idle = Arc::new(Mutex::new(Idle::default()));
        let sit = |idle: &Arc<Mutex<Idle<u32>>>| {
            let (idle, (seated, wait)) = (Arc::clone(idle), std::sync::mpsc::channel::<()>());
            let thread = thread::spawn(move || {
                let seat = Seat::here();
                idle.lock().unwrap().add(&seat);
                drop((idle, seated));
                seat.wait()
            });
            assert!(wait.recv().is_err());
            thread
        };
        let (first, last) = (sit(&idle), sit(&idle));
        let woken = idle.lock().unwrap().give(7).unwrap();
        woken.unpark();
        assert_eq!(last.join().unwrap(), Some(7));
        drop(Arc::into_inner(idle));
        assert_eq!(first.join().unwrap(), None);
    }

    #[test]
    fn a_seat_that_was_left_is_passed_over() {
        let mut idle = Idle::default();
        let seat = Seat::here();
        *seat.slot() = Slot::Left;
        idle.add(&seat);
        assert_eq!(idle.give(7).err(), Some(7));
    }
}
