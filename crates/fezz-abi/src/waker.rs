//! A waker across the C boundary: usable from any thread, after the call and after an eviction.

use core::ffi::c_void;

/// A handle that wakes a task of the other side. Passed borrowed: call `clone` to keep it.
#[repr(C)]
#[derive(Debug)]
pub struct FezzWaker {
    /// Given to each of the table's functions.
    pub ctx: *const c_void,
    /// Never null, and valid for the life of the process.
    pub vtable: *const FezzWakerVtable,
}

/// The functions of a [`FezzWaker`]; each may be called from any thread. None may be null; a reader checks it anyway.
#[repr(C)]
#[derive(Debug)]
pub struct FezzWakerVtable {
    /// `sizeof(FezzWakerVtable)` in the side that filled it.
    pub size: usize,
    /// Returns one more handle to the same task, to be freed by `wake` or `drop`.
    pub clone: Option<unsafe extern "C" fn(ctx: *const c_void) -> *const c_void>,
    /// Wakes the task and frees this handle.
    pub wake: Option<unsafe extern "C" fn(ctx: *const c_void)>,
    /// Wakes the task and keeps this handle.
    pub wake_by_ref: Option<unsafe extern "C" fn(ctx: *const c_void)>,
    /// Frees this handle.
    pub drop: Option<unsafe extern "C" fn(ctx: *const c_void)>,
}
