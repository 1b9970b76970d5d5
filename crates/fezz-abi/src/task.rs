//! The task of an asynchronous call, started by `fezz_fetch_async` and polled by the host.

use core::ffi::c_void;

use crate::{FezzResponse, FezzWaker};

/// The response was written; the task must not be polled again.
pub const TASK_READY: u32 = 0;
/// No response yet; the waker will be woken.
pub const TASK_PENDING: u32 = 1;

/// A running asynchronous call. The host passes a zeroed struct with `size` set; the function fills it in.
#[repr(C)]
#[derive(Debug)]
pub struct FezzTask {
    /// `sizeof(FezzTask)` in the host, set before the call.
    pub size: usize,
    /// Given to `poll` and `drop`.
    pub ctx: *mut c_void,
    /// Makes progress without blocking: writes the response and returns [`TASK_READY`], or keeps a clone of the waker
    /// and returns [`TASK_PENDING`]. One caller at a time, from any thread. Null if the call could not be started.
    pub poll: Option<
        unsafe extern "C" fn(ctx: *mut c_void, waker: *const FezzWaker, response: *mut FezzResponse) -> u32,
    >,
    /// Frees the task; called exactly once, from any thread. Cancels an unfinished task.
    pub drop: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
}

impl FezzTask {
    /// The struct as a host passes it: all zero but `size`.
    pub const EMPTY: Self =
        Self { size: size_of::<Self>(), ctx: core::ptr::null_mut(), poll: None, drop: None };
}
