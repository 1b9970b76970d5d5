//! Claims: which of the calls in a worker's socket have begun, in memory that host and worker share.
//!
//! Calls are pipelined: the next ones are in the socket before the worker is done with the last. If it crashes or hangs
//! in one, the host makes the others in another worker, and none of them twice: the worker claims each call before it
//! begins it, the host withdraws a call before it makes it again, both with one compare-and-exchange of which only one
//! succeeds. A function that overwrites this memory harms its own calls only. To make a begun call look like one that is
//! not, it would have to write that call's number.

use std::sync::atomic::Ordering::{AcqRel, Acquire, Release};

use fezz_runtime::sys::Shared;

/// The worker has begun the call, or it was never offered back.
const BEGUN: u32 = 1;
/// The host has taken the call back.
const WITHDRAWN: u32 = 2;
/// Combined with the call's number: either side may claim it.
const OFFERED: u32 = 1 << 31;

/// One word for each call in flight in a worker, by the call's number modulo their count.
#[derive(Debug)]
pub(crate) struct Claims(pub(crate) Shared);

impl Claims {
    /// Host: before a call is sent that may be withdrawn.
    pub(crate) fn offer(&self, id: u32) {
        self.0.word(id as usize).store(OFFERED | id, Release);
    }

    /// Host: before a call is sent that is never withdrawn.
    pub(crate) fn assign(&self, id: u32) {
        self.0.word(id as usize).store(BEGUN, Release);
    }

    /// Worker: claims a call; false if it was withdrawn.
    pub(crate) fn begin(&self, id: u32) -> bool {
        self.exchange(id, BEGUN) || self.0.word(id as usize).load(Acquire) != WITHDRAWN
    }

    /// Host: takes a call back; false if it has begun.
    pub(crate) fn withdraw(&self, id: u32) -> bool {
        self.exchange(id, WITHDRAWN)
    }

    /// Whether the host has taken the call back.
    pub(crate) fn is_withdrawn(&self, id: u32) -> bool {
        self.0.word(id as usize).load(Acquire) == WITHDRAWN
    }

    /// Whether the worker has begun the call.
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
    fn one_of_two_concurrent_claims_succeeds() {
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
    fn an_overwritten_word_cannot_be_withdrawn() {
        let (memory, _fd) = Shared::create("test", 4096).unwrap();
        let host = Claims(memory);
        host.offer(7);
        for garbage in [0, 7, u32::MAX, OFFERED] {
            host.0.word(7).store(garbage, Release);
            assert!(!host.withdraw(7), "{garbage}");
        }
    }
}
