//! Wakers that cross the boundary, counted: none is lost, none is freed twice, and none wakes after its end.

#![expect(unsafe_code, reason = "plays both sides of the contract")]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::{ptr, thread};

use fezz_abi::bridge::{Lent, lend};
use fezz_abi::{FezzWaker, FezzWakerVtable};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_waker_goes_there_and_comes_back() {
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let there = lend(&waker);
    // SAFETY: our own waker, which lives until the end of this test.
    let back = unsafe { Lent::new(&there) };
    back.wake_by_ref();
    let kept = back.clone();
    let other = kept.clone();
    kept.wake();
    thread::spawn(move || other.wake_by_ref()).join().expect("joined");
    assert_eq!(count.0.load(Ordering::SeqCst), 3);
    drop(waker);
    assert_eq!(Arc::strong_count(&count), 1, "every handle has ended");
}

#[test]
fn a_handle_outlives_what_it_was_cloned_from() {
    let count = Arc::new(Count::default());
    let kept = {
        let waker = Waker::from(Arc::clone(&count));
        let there = lend(&waker);
        // SAFETY: as above.
        unsafe { Lent::new(&there) }.clone()
    };
    kept.wake_by_ref();
    kept.wake();
    assert_eq!((count.0.load(Ordering::SeqCst), Arc::strong_count(&count)), (2, 1));
}

/// The contract forbids such tables; a reader must not crash all the same.
#[test]
fn a_table_with_holes_wakes_nobody() {
    let empty = FezzWakerVtable {
        size: size_of::<FezzWakerVtable>(),
        clone: None,
        wake: None,
        wake_by_ref: None,
        drop: None,
    };
    for vtable in [&raw const empty, ptr::null()] {
        let waker = FezzWaker { ctx: ptr::null(), vtable };
        // SAFETY: the table lives until the end of this test.
        let lent = unsafe { Lent::new(&waker) };
        lent.wake_by_ref();
        let clone = lent.clone();
        let second = clone.clone();
        drop(second);
        clone.wake();
    }
}
