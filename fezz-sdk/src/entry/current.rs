//! The call that a thread is in: what log records and problem documents are tied to, without anybody passing it on.

use std::cell::Cell;
use std::ptr::NonNull;

use fezz_abi::FezzRequest;

use super::{RequestRef, text};
use crate::host::Host;

thread_local! {
    static REQUEST: Cell<Option<NonNull<FezzRequest>>> = const { Cell::new(None) };
    static HOST: Cell<Option<&'static Host>> = const { Cell::new(None) };
}

/// Runs a part of a call. Calls may nest, as in a test that makes one from within another.
pub(crate) fn enter<T>(request: &RequestRef, run: impl FnOnce() -> T) -> T {
    // `request` is borrowed until this returns, and the guard takes it out of the cell before.
    let _before = Restore(&REQUEST, REQUEST.replace(Some(request.as_non_null())));
    run()
}

/// Runs something under a host of its own, which a test made up.
#[cfg(feature = "testing")]
pub(crate) fn with_host<T>(host: &'static Host, run: impl FnOnce() -> T) -> T {
    let _before = Restore(&HOST, HOST.replace(Some(host)));
    run()
}

/// The host of the call that this thread is in, where it has one of its own.
pub(crate) fn host() -> Option<&'static Host> {
    HOST.get()
}

/// The id of the request that this thread is at work for; empty outside of any.
pub(crate) fn request_id() -> String {
    // SAFETY: what is in the cell is borrowed by an `enter` further up this thread's stack.
    let request = REQUEST.get().map(|request| unsafe { request.as_ref() });
    request.map_or_else(String::new, |request| text(request.request_id).to_owned())
}

/// Puts a cell's earlier value back, also when a panic passes.
struct Restore<T: Copy + 'static>(&'static std::thread::LocalKey<Cell<T>>, T);

impl<T: Copy + 'static> Drop for Restore<T> {
    fn drop(&mut self) {
        self.0.set(self.1);
    }
}
