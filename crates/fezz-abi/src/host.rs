//! What the host offers a function, once after each load.

use core::ffi::c_void;

use crate::{FezzPairs, FezzSlice};

/// Level of a log record: an error.
pub const LOG_ERROR: u32 = 1;
/// Level of a log record: a warning.
pub const LOG_WARN: u32 = 2;
/// Level of a log record: information.
pub const LOG_INFO: u32 = 3;
/// Level of a log record: for debugging.
pub const LOG_DEBUG: u32 = 4;
/// Level of a log record: the finest.
pub const LOG_TRACE: u32 = 5;

/// The host's table. It and all that it points to stay as they are for the life of the process, evictions included: where
/// a later load hands over the same pointer, nothing has changed.
#[repr(C)]
#[derive(Debug)]
pub struct FezzHost {
    /// `sizeof(FezzHost)` in the host.
    pub size: usize,
    /// The contract that the host speaks: `major << 16 | minor`.
    pub abi_version: u32,
    /// Most detailed level that the host wants to see: [`LOG_ERROR`] to [`LOG_TRACE`]; 0 for none.
    pub log_level: u32,
    /// Given to `log`.
    pub ctx: *mut c_void,
    /// Id of the function, UTF-8.
    pub function_id: FezzSlice,
    /// Version of the function, UTF-8.
    pub function_version: FezzSlice,
    /// A directory that is this function id's own and survives its versions; a path as bytes.
    pub data_dir: FezzSlice,
    /// The function's variables and secrets, UTF-8.
    pub variables: FezzPairs,
    /// Writes one record to the host's log; from any thread, at any time.
    pub log: unsafe extern "C" fn(ctx: *mut c_void, record: *const FezzLogRecord),
}

/// One log record, borrowed for the time of the call. All text is UTF-8.
#[repr(C)]
#[derive(Debug)]
pub struct FezzLogRecord {
    /// `sizeof(FezzLogRecord)` in the function.
    pub size: usize,
    /// [`LOG_ERROR`] to [`LOG_TRACE`].
    pub level: u32,
    /// Line in `file`; 0 where unknown.
    pub line: u32,
    /// Where it comes from: a module path.
    pub target: FezzSlice,
    /// The message.
    pub message: FezzSlice,
    /// Source file; may be empty.
    pub file: FezzSlice,
    /// Id of the request that it belongs to; may be empty.
    pub request_id: FezzSlice,
    /// Further fields.
    pub fields: FezzPairs,
}
