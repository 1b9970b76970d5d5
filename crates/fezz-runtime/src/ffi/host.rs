//! The host table: what a function is told about itself, and the host functions that it may call.

use std::ffi::c_void;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use fezz_abi::{
    ABI_VERSION, FezzHost, FezzLogRecord, FezzPair, FezzPairs, FezzSlice, LOG_DEBUG, LOG_ERROR, LOG_INFO,
    LOG_TRACE, LOG_WARN,
};
use tracing::Level;

use crate::Variables;

/// What the host table says about the function.
#[derive(Debug)]
pub struct Identity {
    /// The function's id.
    pub id: String,
    /// Its version, as text.
    pub version: String,
    /// The folder that it may write to.
    pub data_dir: PathBuf,
    /// Its variables, secrets included.
    pub variables: Variables,
    /// The folder with the files that were deployed beside its library, if there are any.
    pub assets_dir: Option<PathBuf>,
}

/// A [`FezzHost`] with the memory that it points to.
#[derive(Debug)]
pub struct HostTable {
    raw: FezzHost,
    owned: Box<TableData>,
}

/// The memory that the table points to; boxed, so that its address is fixed.
#[derive(Debug)]
struct TableData {
    identity: Identity,
    /// `id@version`, for the log.
    name: String,
    variables: Vec<FezzPair>,
    /// Whether `fezz_init` runs, whose last error says why it fails.
    keeps_errors: AtomicBool,
    last_error: Mutex<Option<String>>,
}

/// No more than this of an error is kept, in bytes.
const ERROR_BYTES: usize = 4096;

// SAFETY: the pointers lead into `owned`, which never changes.
unsafe impl Send for HostTable {}
// SAFETY: as for Send.
unsafe impl Sync for HostTable {}

impl HostTable {
    /// Makes the table of a library and leaks it: threads of the function may log after its eviction. The number of
    /// libraries that a process maps is bounded.
    #[must_use]
    pub fn leak(identity: Identity) -> &'static Self {
        let name = format!("{}@{}", identity.id, identity.version);
        let mut function = Box::new(TableData {
            identity,
            name,
            variables: Vec::new(),
            keeps_errors: AtomicBool::new(false),
            last_error: Mutex::new(None),
        });
        function.variables = function.identity.variables.iter().map(pair).collect();
        let raw = FezzHost {
            size: size_of::<FezzHost>(),
            abi_version: ABI_VERSION,
            // Errors say why a load fails, also where they are not logged.
            log_level: log_level().max(LOG_ERROR),
            ctx: (&raw const *function).cast_mut().cast(),
            function_id: FezzSlice::new(function.identity.id.as_bytes()),
            function_version: FezzSlice::new(function.identity.version.as_bytes()),
            data_dir: FezzSlice::new(function.identity.data_dir.as_os_str().as_bytes()),
            variables: FezzPairs::new(&function.variables),
            log,
            assets_dir: function
                .identity
                .assets_dir
                .as_ref()
                .map_or(FezzSlice::EMPTY, |folder| FezzSlice::new(folder.as_os_str().as_bytes())),
        };
        Box::leak(Box::new(Self { raw, owned: function }))
    }

    pub(super) const fn as_raw(&self) -> *const FezzHost {
        &raw const self.raw
    }

    /// Keeps the last error that the function logs, from here on.
    pub(super) fn keep_errors(&self) {
        self.owned.keeps_errors.store(true, Ordering::Relaxed);
    }

    /// The last error since [`keep_errors`](Self::keep_errors); keeps none from here on.
    pub(super) fn last_error(&self) -> Option<String> {
        self.owned.keeps_errors.store(false, Ordering::Relaxed);
        self.owned.last_error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl TableData {
    fn keep(&self, error: &str) {
        if self.keeps_errors.load(Ordering::Relaxed) {
            let error = error[..error.floor_char_boundary(ERROR_BYTES)].to_owned();
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        }
    }
}

fn pair((name, value): (&str, &str)) -> FezzPair {
    FezzPair { name: FezzSlice::new(name.as_bytes()), value: FezzSlice::new(value.as_bytes()) }
}

/// The tracing target of all log records of functions; a filter selects them with `function=debug`.
pub const TARGET: &str = "function";

/// The most detailed log level that is enabled for functions, numbered as in the C contract; 0 for none.
#[must_use]
pub fn log_level() -> u32 {
    let wanted = [
        (LOG_TRACE, tracing::enabled!(target: TARGET, Level::TRACE)),
        (LOG_DEBUG, tracing::enabled!(target: TARGET, Level::DEBUG)),
        (LOG_INFO, tracing::enabled!(target: TARGET, Level::INFO)),
        (LOG_WARN, tracing::enabled!(target: TARGET, Level::WARN)),
        (LOG_ERROR, tracing::enabled!(target: TARGET, Level::ERROR)),
    ];
    wanted.into_iter().find(|(_, wanted)| *wanted).map_or(0, |(level, _)| level)
}

/// `FezzHost::log`: writes a record to the host's log, with the function's name.
unsafe extern "C" fn log(ctx: *mut c_void, record: *const FezzLogRecord) {
    // SAFETY: `ctx` is the data of a leaked table.
    let function = unsafe { &*ctx.cast_const().cast::<TableData>() };
    // SAFETY: null, or a record that is valid for this call.
    let Some(record) = (unsafe { record.as_ref() }) else { return };
    let message = text(&record.message);
    if record.level == LOG_ERROR {
        function.keep(&message);
    }
    let function = function.name.as_str();
    // The C contract's `target` is `module` here: tracing has a target of its own. Empty fields are left out.
    let (module, request_id) = (text(&record.target), text(&record.request_id));
    let (module, request_id) = (filled(&module), filled(&request_id));
    let (file, fields) = (text(&record.file), fields(record));
    let (file, fields) = (filled(&file), filled(&fields));
    let line = (record.line != 0).then_some(record.line);
    // tracing needs the level at compile time, hence a call for each.
    macro_rules! write {
        ($level:ident) => {
            tracing::$level!(target: TARGET, function, module, request_id, file, line, fields, "{message}")
        };
    }
    match record.level {
        LOG_ERROR => write!(error),
        LOG_WARN => write!(warn),
        LOG_INFO => write!(info),
        LOG_DEBUG => write!(debug),
        _ => write!(trace),
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

/// The record's own fields, as `name=value` pairs: tracing needs field names at compile time.
fn fields(record: &FezzLogRecord) -> String {
    // SAFETY: pairs of a record are valid for the call that the record was given to.
    let pairs = unsafe { record.fields.as_slice() };
    let pairs = pairs.iter().map(|pair| format!("{}={}", text(&pair.name), text(&pair.value)));
    pairs.collect::<Vec<_>>().join(" ")
}

fn text(slice: &FezzSlice) -> std::borrow::Cow<'_, str> {
    // SAFETY: a slice of a record is valid for the call that the record was given to.
    String::from_utf8_lossy(unsafe { slice.as_bytes() })
}
