//! Conversion between [`Waker`] and [`FezzWaker`], in both directions.
//!
//! The side that polls or pulls passes its waker with [`lend`]; the side that is polled reads it with [`Lent`]. A clone
//! is a box on each side, freed by the side that made it. So a waker may outlive the call, the task and the eviction of
//! the library that received it.

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

/// A waker of this side as the other side sees it. Valid while `waker` is borrowed.
#[must_use]
pub const fn lend(waker: &Waker) -> FezzWaker {
    FezzWaker { ctx: ptr::from_ref(waker).cast(), vtable: &raw const OURS }
}

/// The functions of our own wakers. `ctx` is a borrowed `&Waker`, or a box that `clone` made.
static OURS: FezzWakerVtable = FezzWakerVtable {
    size: size_of::<FezzWakerVtable>(),
    clone: Some(clone_ours),
    wake: Some(wake_ours),
    wake_by_ref: Some(wake_ours_by_ref),
    drop: Some(drop_ours),
};

unsafe extern "C" fn clone_ours(ctx: *const c_void) -> *const c_void {
    // SAFETY: a borrowed waker, or a handle that has not been dropped.
    let waker = unsafe { &*ctx.cast::<Waker>() };
    Box::into_raw(Box::new(waker.clone())).cast_const().cast()
}

unsafe extern "C" fn wake_ours(ctx: *const c_void) {
    // SAFETY: a handle that `clone_ours` made; this call consumes it.
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

/// A borrowed waker of the other side. Its clones are handles of their own.
#[derive(Debug)]
pub struct Lent<'a> {
    /// Never dropped: a borrowed waker is not a handle to free.
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

/// For a borrowed `FezzWaker`: `wake` and `drop` free nothing, and a clone is a box.
static LENT: RawWakerVTable =
    RawWakerVTable::new(clone_theirs, wake_theirs_by_ref, wake_theirs_by_ref, |_| ());
/// For a boxed handle, which `wake` and `drop` free.
static HELD: RawWakerVTable = RawWakerVTable::new(clone_theirs, wake_theirs, wake_theirs_by_ref, drop_theirs);

/// Their waker and its table. The contract forbids a null table; a reader tolerates one.
///
/// # Safety
/// `data` is a borrowed or boxed `FezzWaker`.
unsafe fn theirs<'a>(data: *const ()) -> (&'a FezzWaker, Option<&'a FezzWakerVtable>) {
    // SAFETY: the caller guarantees it.
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
    // SAFETY: a boxed handle; this call consumes it.
    let waker = unsafe { Box::from_raw(data.cast_mut().cast::<FezzWaker>()) };
    // SAFETY: null, or valid for the life of the process.
    let table = unsafe { waker.vtable.as_ref() };
    if let Some(wake) = table.and_then(|table| table.wake) {
        // SAFETY: their function and context, which is not used again.
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
    // SAFETY: a boxed handle; this call consumes it.
    let waker = unsafe { Box::from_raw(data.cast_mut().cast::<FezzWaker>()) };
    // SAFETY: null, or valid for the life of the process.
    let table = unsafe { waker.vtable.as_ref() };
    if let Some(drop) = table.and_then(|table| table.drop) {
        // SAFETY: their function and context, which is not used again.
        unsafe { drop(waker.ctx) };
    }
}

/// A waker that does nothing.
const fn nothing() -> RawWaker {
    static NOTHING: RawWakerVTable = RawWakerVTable::new(|_| nothing(), |_| (), |_| (), |_| ());
    RawWaker::new(ptr::null(), &NOTHING)
}
