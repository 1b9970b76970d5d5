//! Wakers on their way across the boundary: Rust's as the contract's, and the contract's as Rust's.
//!
//! Both sides need both ways. Whoever polls or pulls lends its waker with [`lend`]; whoever is polled reads it with
//! [`Lent`]. A clone is a box on each side, freed by the side that made it, so that a waker may outlive the call, the
//! task and the eviction of the library that it was given to.

#![expect(unsafe_code, reason = "wakers are pointers with a table of functions, in Rust as in C")]

extern crate alloc;

use alloc::boxed::Box;
use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::ManuallyDrop;
use core::ops::Deref;
use core::ptr;
use core::task::{RawWaker, RawWakerVTable, Waker};

use crate::{FezzWaker, FezzWakerVtable};

/// A waker of this side as the other side sees it, for as long as `waker` is borrowed.
#[must_use]
pub const fn lend(waker: &Waker) -> FezzWaker {
    FezzWaker { ctx: ptr::from_ref(waker).cast(), vtable: &raw const OURS }
}

/// What the other side may do with a waker of ours. `ctx` is a `&Waker` that is lent, or a box that `clone` made.
static OURS: FezzWakerVtable = FezzWakerVtable {
    size: size_of::<FezzWakerVtable>(),
    clone: Some(clone_ours),
    wake: Some(wake_ours),
    wake_by_ref: Some(wake_ours_by_ref),
    drop: Some(drop_ours),
};

unsafe extern "C" fn clone_ours(ctx: *const c_void) -> *const c_void {
    // SAFETY: a waker that is lent, or a handle that has not ended.
    let waker = unsafe { &*ctx.cast::<Waker>() };
    Box::into_raw(Box::new(waker.clone())).cast_const().cast()
}

unsafe extern "C" fn wake_ours(ctx: *const c_void) {
    // SAFETY: a handle that `clone_ours` made; it ends here.
    let waker = unsafe { Box::from_raw(ctx.cast_mut().cast::<Waker>()) };
    waker.wake();
}

unsafe extern "C" fn wake_ours_by_ref(ctx: *const c_void) {
    // SAFETY: as in `clone_ours`.
    let waker = unsafe { &*ctx.cast::<Waker>() };
    waker.wake_by_ref();
}

unsafe extern "C" fn drop_ours(ctx: *const c_void) {
    // SAFETY: as in `wake_ours`.
    drop(unsafe { Box::from_raw(ctx.cast_mut().cast::<Waker>()) });
}

/// A waker of the other side, for the time that it is lent. Its clones are handles of their own.
#[derive(Debug)]
pub struct Lent<'a> {
    /// Dropping a waker ends a handle, and what is lent is none.
    waker: ManuallyDrop<Waker>,
    lent: PhantomData<&'a FezzWaker>,
}

impl<'a> Lent<'a> {
    /// # Safety
    /// `waker` is as the contract says: its functions may be called from any thread, and its table lives for the life
    /// of the process.
    #[must_use]
    pub const unsafe fn new(waker: &'a FezzWaker) -> Self {
        let raw = RawWaker::new(ptr::from_ref(waker).cast(), &LENT);
        // SAFETY: the table keeps the rules of RawWaker, given a waker that keeps those of the contract.
        let waker = unsafe { Waker::from_raw(raw) };
        Self { waker: ManuallyDrop::new(waker), lent: PhantomData }
    }
}

impl Deref for Lent<'_> {
    type Target = Waker;

    fn deref(&self) -> &Waker {
        &self.waker
    }
}

/// For a `FezzWaker` that is lent: nothing ends, and a clone goes into a box.
static LENT: RawWakerVTable =
    RawWakerVTable::new(clone_theirs, wake_theirs_by_ref, wake_theirs_by_ref, |_| ());
/// For a boxed handle.
static HELD: RawWakerVTable = RawWakerVTable::new(clone_theirs, wake_theirs, wake_theirs_by_ref, drop_theirs);

/// Their waker and its table; none where the table is missing, which the contract forbids and a reader forgives.
///
/// # Safety
/// `data` is a lent or boxed `FezzWaker`.
unsafe fn theirs<'a>(data: *const ()) -> (&'a FezzWaker, Option<&'a FezzWakerVtable>) {
    // SAFETY: says the caller.
    let waker = unsafe { &*data.cast::<FezzWaker>() };
    // SAFETY: null, or valid for the life of the process.
    (waker, unsafe { waker.vtable.as_ref() })
}

unsafe fn clone_theirs(data: *const ()) -> RawWaker {
    // SAFETY: data of our own tables.
    let (waker, table) = unsafe { theirs(data) };
    let Some(clone) = table.and_then(|table| table.clone) else { return nothing() };
    // SAFETY: their function, with the context that belongs to it.
    let ctx = unsafe { clone(waker.ctx) };
    let held = Box::new(FezzWaker { ctx, vtable: waker.vtable });
    RawWaker::new(Box::into_raw(held).cast_const().cast(), &HELD)
}

unsafe fn wake_theirs(data: *const ()) {
    // SAFETY: a boxed handle, which ends here.
    let waker = unsafe { Box::from_raw(data.cast_mut().cast::<FezzWaker>()) };
    // SAFETY: null, or valid for the life of the process.
    let table = unsafe { waker.vtable.as_ref() };
    if let Some(wake) = table.and_then(|table| table.wake) {
        // SAFETY: their function and context; the handle ends with it.
        unsafe { wake(waker.ctx) };
    }
}

unsafe fn wake_theirs_by_ref(data: *const ()) {
    // SAFETY: data of our own tables.
    let (waker, table) = unsafe { theirs(data) };
    if let Some(wake) = table.and_then(|table| table.wake_by_ref) {
        // SAFETY: their function and context.
        unsafe { wake(waker.ctx) };
    }
}

unsafe fn drop_theirs(data: *const ()) {
    // SAFETY: a boxed handle, which ends here.
    let waker = unsafe { Box::from_raw(data.cast_mut().cast::<FezzWaker>()) };
    // SAFETY: null, or valid for the life of the process.
    let table = unsafe { waker.vtable.as_ref() };
    if let Some(drop) = table.and_then(|table| table.drop) {
        // SAFETY: their function and context; the handle ends with it.
        unsafe { drop(waker.ctx) };
    }
}

/// A waker that wakes nobody.
const fn nothing() -> RawWaker {
    static NOTHING: RawWakerVTable = RawWakerVTable::new(|_| nothing(), |_| (), |_| (), |_| ());
    RawWaker::new(ptr::null(), &NOTHING)
}
