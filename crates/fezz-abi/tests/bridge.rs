//! Reference counts of wakers across the boundary: none is leaked, freed twice or used after its end.

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
fn a_waker_makes_the_round_trip() {
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let lent = lend(&waker);
    // SAFETY: our own waker, which lives until the end of this test.
    let read = unsafe { Lent::new(&lent) };
    read.wake_by_ref();
    let kept = read.clone();
    let other = kept.clone();
    kept.wake();
    thread::spawn(move || other.wake_by_ref()).join().expect("joined");
    assert_eq!(count.0.load(Ordering::SeqCst), 3);
    drop(waker);
    assert_eq!(Arc::strong_count(&count), 1, "every handle is freed");
}

#[test]
fn a_clone_outlives_its_original() {
    let count = Arc::new(Count::default());
    let kept = {
        let waker = Waker::from(Arc::clone(&count));
        let lent = lend(&waker);
        // SAFETY: as above.
        unsafe { Lent::new(&lent) }.clone()
    };
    kept.wake_by_ref();
    kept.wake();
    assert_eq!((count.0.load(Ordering::SeqCst), Arc::strong_count(&count)), (2, 1));
}

/// The contract forbids null functions and tables; a reader must not crash anyway.
#[test]
fn null_functions_are_tolerated() {
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
