//! What a function may call: the host's table, one for each mapped library, kept for the life of the process.

use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use fezz_abi::{
    ABI_VERSION, FezzHost, FezzLogRecord, FezzPair, FezzPairs, FezzSlice, LOG_DEBUG, LOG_ERROR, LOG_INFO,
    LOG_TRACE, LOG_WARN,
};
use tracing::level_filters::LevelFilter;

use crate::catalog::Variables;

/// What a function is told about itself.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) data_dir: PathBuf,
    pub(crate) variables: Variables,
}

/// A [`FezzHost`] and what it points to.
#[derive(Debug)]
pub(crate) struct HostTable {
    raw: FezzHost,
    _function: Box<Owned>,
}

/// What the table's pointers lead to; boxed, so that it stays where it is.
#[derive(Debug)]
struct Owned {
    identity: Identity,
    /// `id@version`, for the log.
    name: String,
    variables: Vec<FezzPair>,
}

// SAFETY: the pointers lead into `_function`, which is never changed.
unsafe impl Send for HostTable {}
// SAFETY: as for Send.
unsafe impl Sync for HostTable {}

impl HostTable {
    /// Makes the table of one library. It is leaked: threads of a function may log after its eviction, and the number of
    /// libraries that a process maps is bounded.
    pub(crate) fn leak(identity: Identity) -> &'static Self {
        let name = format!("{}@{}", identity.id, identity.version);
        let mut function = Box::new(Owned { identity, name, variables: Vec::new() });
        function.variables = function.identity.variables.iter().map(pair).collect();
        let raw = FezzHost {
            size: size_of::<FezzHost>(),
            abi_version: ABI_VERSION,
            log_level: level(LevelFilter::current()),
            ctx: (&raw const *function).cast_mut().cast(),
            function_id: FezzSlice::new(function.identity.id.as_bytes()),
            function_version: FezzSlice::new(function.identity.version.as_bytes()),
            data_dir: FezzSlice::new(function.identity.data_dir.as_os_str().as_bytes()),
            variables: FezzPairs::new(&function.variables),
            log,
        };
        Box::leak(Box::new(Self { raw, _function: function }))
    }

    pub(super) const fn as_raw(&self) -> *const FezzHost {
        &raw const self.raw
    }
}

fn pair((name, value): (&str, &str)) -> FezzPair {
    FezzPair { name: FezzSlice::new(name.as_bytes()), value: FezzSlice::new(value.as_bytes()) }
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
    // SAFETY: `ctx` is what a leaked table owns.
    let function = unsafe { &*ctx.cast_const().cast::<Owned>() };
    // SAFETY: null, or a record that is valid for this call.
    let Some(record) = (unsafe { record.as_ref() }) else { return };
    let function = function.name.as_str();
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
