//! Which of the calls that are in a worker's socket it has begun, in memory that host and worker both write.
//!
//! The next calls are in the socket before the worker is done with the last one. When it crashes, or hangs in one of
//! them, the others are made elsewhere, and none of them twice: the worker takes each call before it begins it, and the
//! host withdraws what it wants back, each with one atomic exchange of which one alone succeeds. A function that writes
//! over this memory harms its own calls only, and does not make one look as if it had not begun: that takes the call's
//! number.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use fezz_runtime::sys::Shared;

/// The worker has begun it, or has it to itself from the start.
const BEGUN: u32 = 1;
/// The host has taken it back.
const WITHDRAWN: u32 = 2;
/// With the call's number: either may have it.
const OFFERED: u32 = 1 << 31;

/// One number for each call that may be in a worker.
#[derive(Debug)]
pub(crate) struct Claims(pub(crate) Shared);

impl Claims {
    /// The host sends a call that it may want back.
    pub(crate) fn offer(&self, id: u32) {
        self.0.word(id as usize).store(OFFERED | id, Release);
    }

    /// The host sends a call that it will not want back.
    pub(crate) fn assign(&self, id: u32) {
        self.0.word(id as usize).store(BEGUN, Release);
    }

    /// The worker is about to begin a call; not one that was withdrawn.
    pub(crate) fn begin(&self, id: u32) -> bool {
        self.exchange(id, BEGUN) || self.0.word(id as usize).load(Acquire) != WITHDRAWN
    }

    /// The host wants a call back: whether it has it.
    pub(crate) fn withdraw(&self, id: u32) -> bool {
        self.exchange(id, WITHDRAWN)
    }

    /// Whether the host has taken it back.
    pub(crate) fn is_withdrawn(&self, id: u32) -> bool {
        self.0.word(id as usize).load(Acquire) == WITHDRAWN
    }

    /// Whether the worker has begun it.
    pub(crate) fn is_begun(&self, id: u32) -> bool {
        self.0.word(id as usize).load(Acquire) == BEGUN
    }

    fn exchange(&self, id: u32, state: u32) -> bool {
        self.0.word(id as usize).compare_exchange(OFFERED | id, state, AcqRel, Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_begun_or_withdrawn_and_never_both() {
        let (memory, fd) = Shared::create("test", 4096).unwrap();
        let (host, worker) = (Claims(memory), Claims(Shared::open(&fd).unwrap()));
        host.offer(7);
        assert!(worker.begin(7) && host.is_begun(7));
        assert!(!host.withdraw(7) && !host.is_withdrawn(7));
        host.offer(8);
        assert!(host.withdraw(8) && host.is_withdrawn(8));
        assert!(!worker.begin(8));
        host.assign(9);
        assert!(!host.withdraw(9) && worker.begin(9));
    }

    #[test]
    fn one_of_two_at_once_has_it() {
        let (memory, fd) = Shared::create("test", 4096).unwrap();
        let (host, worker) = (Claims(memory), Claims(Shared::open(&fd).unwrap()));
        for id in 0..5_000 {
            host.offer(id);
            let begun = std::thread::scope(|scope| {
                let begun = scope.spawn(|| worker.begin(id));
                let withdrawn = host.withdraw(id);
                (begun.join().unwrap(), withdrawn)
            });
            assert_ne!(begun.0, begun.1, "call {id}");
        }
    }

    #[test]
    fn what_is_overwritten_has_not_the_look_of_an_offer() {
        let (memory, _fd) = Shared::create("test", 4096).unwrap();
        let host = Claims(memory);
        host.offer(7);
        for garbage in [0, 7, u32::MAX, OFFERED] {
            host.0.word(7).store(garbage, Release);
            assert!(!host.withdraw(7), "{garbage}");
        }
    }
}
