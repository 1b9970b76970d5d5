//! The host's table, passed to `fezz_init`: settings, data directory and log.

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

/// The host's table. It and all that it points to are immutable and live as long as the process, evictions included: the
/// same pointer at a later load means that nothing has changed.
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
    /// A directory for this function id alone, kept across its versions; a path as bytes.
    pub data_dir: FezzSlice,
    /// The function's variables and secrets, UTF-8.
    pub variables: FezzPairs,
    /// Writes one record to the host's log; from any thread, at any time.
    pub log: unsafe extern "C" fn(ctx: *mut c_void, record: *const FezzLogRecord),
    /// Since 1.1. The folder with the files that were deployed beside the library, read-only; a path as bytes. Empty if
    /// there are none.
    pub assets_dir: FezzSlice,
}

/// One log record, borrowed for the call. All text is UTF-8.
#[repr(C)]
#[derive(Debug)]
pub struct FezzLogRecord {
    /// `sizeof(FezzLogRecord)` in the function.
    pub size: usize,
    /// [`LOG_ERROR`] to [`LOG_TRACE`].
    pub level: u32,
    /// Line in `file`; 0 where unknown.
    pub line: u32,
    /// Its source: a module path.
    pub target: FezzSlice,
    /// The message.
    pub message: FezzSlice,
    /// Source file; may be empty.
    pub file: FezzSlice,
    /// Id of its request; may be empty.
    pub request_id: FezzSlice,
    /// Structured fields.
    pub fields: FezzPairs,
}
