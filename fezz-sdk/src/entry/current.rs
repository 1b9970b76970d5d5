//! The current call of a thread, in thread-locals: gives log records and problem documents their request id.

use std::cell::Cell;
use std::ptr::NonNull;

use super::RequestRef;
use crate::host::Host;

thread_local! {
    static REQUEST: Cell<Option<NonNull<RequestRef>>> = const { Cell::new(None) };
    static HOST: Cell<Option<&'static Host>> = const { Cell::new(None) };
}

/// Runs a part of a call. Calls may nest, as in a test that makes one within another.
pub(crate) fn enter<T>(request: &RequestRef, run: impl FnOnce() -> T) -> T {
    // `request` is borrowed until this returns; the guard removes it from the cell first.
    let _restore = Restore(&REQUEST, REQUEST.replace(Some(NonNull::from(request))));
    run()
}

/// Runs something under a test's own host.
#[cfg(feature = "testing")]
pub(crate) fn with_host<T>(host: &'static Host, run: impl FnOnce() -> T) -> T {
    let _restore = Restore(&HOST, HOST.replace(Some(host)));
    run()
}

/// The host that a test set for the current call, if any.
pub(crate) fn host() -> Option<&'static Host> {
    HOST.get()
}

/// The id of the current request; empty outside a call.
pub(crate) fn request_id() -> String {
    // SAFETY: the pointer in the cell is borrowed by an `enter` further up this thread's stack.
    let request = REQUEST.get().map(|request| unsafe { request.as_ref() });
    request.map_or_else(String::new, |request| request.request_id().to_owned())
}

/// Restores a cell's earlier value, also on unwinding.
struct Restore<T: Copy + 'static>(&'static std::thread::LocalKey<Cell<T>>, T);

impl<T: Copy + 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}
