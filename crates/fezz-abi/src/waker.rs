//! A waker that crosses the boundary: safe to use from any thread, after the call and after an eviction.

use core::ffi::c_void;

/// A handle that wakes a task of the other side. Passed borrowed: a side that keeps it calls `clone` first.
#[repr(C)]
#[derive(Debug)]
pub struct FezzWaker {
    /// Given to each of the table's functions.
    pub ctx: *const c_void,
    /// Never null, and valid for the life of the process.
    pub vtable: *const FezzWakerVtable,
}

/// What can be done with a [`FezzWaker`]; every function may be called from any thread. None is null; a
/// reader checks all the same.
#[repr(C)]
#[derive(Debug)]
pub struct FezzWakerVtable {
    /// `sizeof(FezzWakerVtable)` in the side that filled it.
    pub size: usize,
    /// One more handle to the same task, to be ended by `wake` or `drop`.
    pub clone: Option<unsafe extern "C" fn(ctx: *const c_void) -> *const c_void>,
    /// Wakes the task and ends this handle.
    pub wake: Option<unsafe extern "C" fn(ctx: *const c_void)>,
    /// Wakes the task and keeps this handle.
    pub wake_by_ref: Option<unsafe extern "C" fn(ctx: *const c_void)>,
    /// Ends this handle.
    pub drop: Option<unsafe extern "C" fn(ctx: *const c_void)>,
}
