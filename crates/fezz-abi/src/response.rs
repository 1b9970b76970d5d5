//! The response of one call.

use core::ffi::c_void;

use crate::{FezzPairs, FezzSlice, FezzStream};

/// The function answered; status, headers and body are its response.
pub const OUTCOME_RETURNED: u32 = 0;
/// The function panicked and its SDK caught it; `body` is the panic's message, for the host's log.
pub const OUTCOME_PANICKED: u32 = 1;
/// The function could not build its response; `body` is the reason, for the host's log.
pub const OUTCOME_FAILED: u32 = 2;

/// One response, owned by the function until the host calls `release`.
///
/// The host passes a zeroed struct with `size` set; the function fills it in. A struct left unchanged (status 0) becomes
/// a 502.
#[repr(C)]
#[derive(Debug)]
pub struct FezzResponse {
    /// `sizeof(FezzResponse)` in the host, set before the call; fields beyond it must not be written.
    pub size: usize,
    /// [`OUTCOME_RETURNED`], [`OUTCOME_PANICKED`] or [`OUTCOME_FAILED`].
    pub outcome: u32,
    /// HTTP status, 200 to 599; or 101, with `stream`, if an upgrade is on offer: `stream` is then what the client gets
    /// after the upgrade.
    pub status: u32,
    /// Headers; names may repeat.
    pub headers: FezzPairs,
    /// The whole body, if `stream` is null.
    pub body: FezzSlice,
    /// The body as a pull stream; else null. Points at memory that lives until `release`.
    pub stream: *const FezzStream,
    /// Given to `release`.
    pub ctx: *mut c_void,
    /// Frees all that this response points to. Called exactly once, from any thread, when the body has been sent or
    /// the client is gone. Null if nothing is to be freed.
    pub release: Option<unsafe extern "C" fn(ctx: *mut c_void)>,
}

impl FezzResponse {
    /// The struct as a host passes it: all zero but `size`.
    pub const EMPTY: Self = Self {
        size: size_of::<Self>(),
        outcome: OUTCOME_RETURNED,
        status: 0,
        headers: FezzPairs::EMPTY,
        body: FezzSlice::EMPTY,
        stream: core::ptr::null(),
        ctx: core::ptr::null_mut(),
        release: None,
    };
}
