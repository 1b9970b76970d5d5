//! Opening a function library and calling its exports.

use std::error::Error as _;
use std::ffi::c_int;
use std::path::Path;
use std::time::Duration;

use fezz_abi::{
    ABI_MAJOR, ABI_VERSION, AbiVersionFn, FLAG_BLOCKING, FLAG_BODY_MAY_STREAM, FLAG_BODY_STREAM,
    FLAG_UPGRADE, FetchAsyncFn, FetchFn, FezzHost, FezzResponse, FlagsFn, INIT_STALE, InitFn, ShutdownFn,
    symbol,
};
use libloading::os::unix::{Library as RawLibrary, RTLD_LOCAL, RTLD_NOW};

use super::call::Call;
use super::host::HostTable;
use super::raw_reply::RawReply;
use super::source::{RequestBodies, RequestSource};
use super::task::Task;

/// Never unmap: destructors of thread-locals would run unmapped code (rust-lang/rust#91979).
#[cfg(any(target_os = "linux", target_os = "android"))]
const RTLD_NODELETE: c_int = 0x1000;
#[cfg(any(target_os = "macos", target_os = "ios"))]
const RTLD_NODELETE: c_int = 0x80;

/// Why a library was not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// dlopen(3) failed.
    #[error("the library cannot be loaded: {}", reason(.0))]
    Load(#[source] libloading::Error),
    /// A required symbol is missing; its name.
    #[error("the library does not export `{0}`; is it built with #[fezz_function] and crate-type cdylib?")]
    MissingSymbol(&'static str),
    /// It was built against another major version of the C contract; the version it reports.
    #[error(
        "the library speaks version {}.{} of the fezz ABI and this host {}.{}; rebuild it against a matching fezz-sdk",
        .0 >> 16, .0 & 0xffff, ABI_VERSION >> 16, ABI_VERSION & 0xffff
    )]
    OtherAbi(u32),
    /// `fezz_init` returned an error.
    #[error("fezz_init answered {code}, which refuses the load; {}", why(.reason.as_deref()))]
    Init {
        /// Its return value.
        code: i32,
        /// The last error that it has logged.
        reason: Option<String>,
    },
}

impl OpenError {
    /// Whether a fresh copy of the library can be set up, while this one cannot any more.
    #[must_use]
    pub const fn is_stale(&self) -> bool {
        matches!(self, Self::Init { code, .. } if code.cast_unsigned() == INIT_STALE)
    }

    /// Whether this process has run out of what loading takes, and a fresh one has it: room for static thread-locals,
    /// memory maps, memory.
    #[must_use]
    pub fn is_wear(&self) -> bool {
        // dlopen(3) has no codes, but these texts, which are not translated: the host sets no locale.
        let Self::Load(error) = self else { return false };
        let reason = reason(error);
        ["static TLS", "Cannot allocate memory", "cannot allocate", "cannot create"]
            .iter()
            .any(|text| reason.contains(text))
    }
}

/// A loaded library and its function table. The mapping stays when this is dropped.
#[derive(Debug)]
pub struct Library {
    fetch: FetchFn,
    /// Present if calls are to be polled.
    fetch_async: Option<FetchAsyncFn>,
    flags: u32,
    init: Option<InitFn>,
    shutdown: Option<ShutdownFn>,
    /// Keeps the function pointers valid. RTLD_NODELETE alone would, but the types should show it.
    _handle: RawLibrary,
}

impl Library {
    /// Loads the library at `path`. The file must not change afterwards, so it is a private copy of the deployed file.
    ///
    /// # Errors
    /// If dlopen(3) fails, a required symbol is missing, or the library has another major version of the contract.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        // SAFETY: constructors of a foreign library run here. It was checked, and loaded once by a probe process.
        let handle = unsafe { RawLibrary::open(Some(path), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE) }
            .map_err(OpenError::Load)?;
        // SAFETY: the contract gives this symbol this type.
        let version: AbiVersionFn = unsafe { required(&handle, symbol::ABI_VERSION) }?;
        // SAFETY: takes nothing, returns a number.
        let found = unsafe { version() };
        if found >> 16 != ABI_MAJOR {
            return Err(OpenError::OtherAbi(found));
        }
        // SAFETY: the contract gives this symbol this type.
        let flags: Option<FlagsFn> = unsafe { optional(&handle, symbol::FLAGS) };
        // SAFETY: takes nothing, returns a number.
        let flags = flags.map_or(0, |flags| unsafe { flags() });
        // SAFETY: the contract gives this symbol this type.
        let fetch_async = unsafe { optional(&handle, symbol::FETCH_ASYNC) };
        Ok(Self {
            flags,
            fetch_async: fetch_async.filter(|_| flags & FLAG_BLOCKING == 0),
            // SAFETY: the contract gives this symbol this type.
            fetch: unsafe { required(&handle, symbol::FETCH) }?,
            // SAFETY: as above.
            init: unsafe { optional(&handle, symbol::INIT) },
            // SAFETY: as above.
            shutdown: unsafe { optional(&handle, symbol::SHUTDOWN) },
            _handle: handle,
        })
    }

    /// Runs `fezz_init`, if the library exports it.
    ///
    /// # Errors
    /// If it returns another code than 0.
    pub fn init(&self, table: &'static HostTable) -> Result<(), OpenError> {
        let Some(init) = self.init else { return Ok(()) };
        let raw: *const FezzHost = table.as_raw();
        table.keep_errors();
        // SAFETY: the table lives for the rest of the process, as the contract asks.
        let code = unsafe { init(raw) };
        let reason = table.last_error();
        if code == 0 { Ok(()) } else { Err(OpenError::Init { code, reason }) }
    }

    /// Runs `fezz_shutdown`, if the library exports it. The caller ensures that no call is running.
    pub fn shutdown(&self) {
        if let Some(shutdown) = self.shutdown {
            // SAFETY: takes nothing; the caller ensures that no call is running.
            unsafe { shutdown() };
        }
    }

    /// Whether calls are started with [`start`](Self::start) and polled, instead of made with [`fetch`](Self::fetch).
    pub const fn is_polled(&self) -> bool {
        self.fetch_async.is_some()
    }

    /// How the function takes request bodies.
    pub const fn request_bodies(&self) -> RequestBodies {
        if self.flags & FLAG_BODY_STREAM != 0 {
            RequestBodies::Streamed
        } else if self.flags & FLAG_BODY_MAY_STREAM != 0 {
            RequestBodies::StreamedIfLong
        } else {
            RequestBodies::Whole
        }
    }

    /// Whether the function may answer with 101.
    pub const fn takes_upgrades(&self) -> bool {
        self.flags & FLAG_UPGRADE != 0
    }

    /// Starts a call that is polled, with this time until its deadline (`None`: no deadline). Returns `None` if calls must be
    /// made with [`fetch`](Self::fetch).
    pub fn start<S: RequestSource>(&self, call: Call<S>, left: Option<Duration>) -> Option<Task<S>> {
        Some(Task::start(self.fetch_async?, call, left))
    }

    /// Makes a call on this thread, and blocks until the function returns.
    pub fn fetch<S: RequestSource>(&self, call: &Call<S>, left: Option<Duration>) -> RawReply {
        let mut response = FezzResponse::EMPTY;
        let request = call.begin(left);
        // SAFETY: the request is valid while `call` is borrowed; the response can be written.
        unsafe { (self.fetch)(request, &raw mut response) };
        RawReply::new(response)
    }
}

/// What is known of a failed `fezz_init`.
fn why(reason: Option<&str>) -> String {
    let seen = |reason| format!("its last error: {reason}");
    reason.map_or_else(|| "it has logged no error that says why".to_owned(), seen)
}

/// The message of dlopen(3), which is in the error's source.
fn reason(error: &libloading::Error) -> String {
    error.source().map_or_else(|| error.to_string(), ToString::to_string)
}

/// # Safety
/// The library's symbol of this name has the type `T`, a function pointer.
unsafe fn required<T: Copy>(handle: &RawLibrary, name: &'static str) -> Result<T, OpenError> {
    // SAFETY: the caller vouches for the type.
    let symbol = unsafe { optional(handle, name) };
    symbol.ok_or(OpenError::MissingSymbol(name))
}

/// # Safety
/// As for [`required`].
unsafe fn optional<T: Copy>(handle: &RawLibrary, name: &str) -> Option<T> {
    // SAFETY: the caller vouches for the type.
    let symbol = unsafe { handle.get::<T>(name) };
    symbol.ok().map(|symbol| *symbol)
}
