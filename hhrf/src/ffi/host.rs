//! What a function may call: the host's table, one for each load, kept for the life of the process.

use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use fezz_abi::{
    ABI_VERSION, FezzHost, FezzLogRecord, FezzPair, FezzPairs, FezzSlice, LOG_DEBUG, LOG_ERROR, LOG_INFO,
    LOG_TRACE, LOG_WARN,
};
use tracing::level_filters::LevelFilter;

use crate::catalog::Function;

/// A [`FezzHost`] and what it points to.
#[derive(Debug)]
pub(crate) struct HostTable {
    raw: FezzHost,
    _function: Arc<Function>,
    _variables: Vec<FezzPair>,
}

// SAFETY: the pointers lead into `_function` and `_variables`, which are never changed.
unsafe impl Send for HostTable {}
// SAFETY: as for Send.
unsafe impl Sync for HostTable {}

impl HostTable {
    /// Makes the table of one load. It is leaked: threads of a function may log after its eviction, and the number of
    /// loads of a process is bounded.
    pub(crate) fn leak(function: &Arc<Function>) -> &'static Self {
        let function = Arc::clone(function);
        let variables: Vec<_> = function
            .variables
            .iter()
            .map(|(name, value)| FezzPair {
                name: FezzSlice::new(name.as_bytes()),
                value: FezzSlice::new(value.as_bytes()),
            })
            .collect();
        let raw = FezzHost {
            size: size_of::<FezzHost>(),
            abi_version: ABI_VERSION,
            log_level: level(LevelFilter::current()),
            // `log` gets the function itself, whose address does not move with this table.
            ctx: Arc::as_ptr(&function).cast_mut().cast(),
            function_id: FezzSlice::new(function.key.id.as_bytes()),
            function_version: FezzSlice::new(function.key.version.as_bytes()),
            data_dir: FezzSlice::new(function.data_dir.as_os_str().as_bytes()),
            variables: FezzPairs::new(&variables),
            log,
        };
        Box::leak(Box::new(Self { raw, _function: function, _variables: variables }))
    }

    pub(super) const fn as_raw(&self) -> *const FezzHost {
        &raw const self.raw
    }
}

fn level(filter: LevelFilter) -> u32 {
    match filter {
        LevelFilter::OFF => 0,
        LevelFilter::ERROR => LOG_ERROR,
        LevelFilter::WARN => LOG_WARN,
        LevelFilter::INFO => LOG_INFO,
        LevelFilter::DEBUG => LOG_DEBUG,
        _ => LOG_TRACE,
    }
}

/// Writes a function's record to the host's log, with the function's name.
unsafe extern "C" fn log(ctx: *mut c_void, record: *const FezzLogRecord) {
    // SAFETY: `ctx` is the function of a leaked table.
    let function = unsafe { &*ctx.cast_const().cast::<Function>() };
    // SAFETY: null, or a record that is valid for this call.
    let Some(record) = (unsafe { record.as_ref() }) else { return };
    let function = function.name();
    let message = text(&record.message);
    // `module`, since tracing has a target of its own. What is empty is left out.
    let (module, request_id) = (text(&record.target), text(&record.request_id));
    let module = (!module.is_empty()).then_some(&*module);
    let request_id = (!request_id.is_empty()).then_some(&*request_id);
    // tracing wants the level to be known when it compiles, hence a call for each.
    match record.level {
        LOG_ERROR => tracing::error!(function, module, request_id, "{message}"),
        LOG_WARN => tracing::warn!(function, module, request_id, "{message}"),
        LOG_INFO => tracing::info!(function, module, request_id, "{message}"),
        LOG_DEBUG => tracing::debug!(function, module, request_id, "{message}"),
        _ => tracing::trace!(function, module, request_id, "{message}"),
    }
}

fn text(slice: &FezzSlice) -> std::borrow::Cow<'_, str> {
    // SAFETY: a slice of a record is valid for the call that the record was given to.
    String::from_utf8_lossy(unsafe { slice.as_bytes() })
}
