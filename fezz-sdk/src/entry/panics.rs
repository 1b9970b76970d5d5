//! Panic handling: panics are caught with message and location, and do not unwind into the host.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::host::Level;

thread_local! {
    /// Depth of [`catch`] on this thread. At 0, a panic belongs to a thread or task that the function started.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// Message and location of this thread's latest panic, stored by the hook for [`catch`].
    static LATEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sets the panic hook of this library's own copy of std; the hooks of the host and of other libraries are not affected.
pub(super) fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CALLS.get() > 0 {
                LATEST.set(Some(describe(info)));
            } else if crate::host::host().is_some() {
                // A thread or task of the function's own: log it, since no caller reports it.
                crate::log(Level::Error, &format!("a thread panicked: {}", describe(info)));
            } else {
                previous(info);
            }
        }));
    });
}

/// Runs `call`; a panic becomes its message and location.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    CALLS.set(CALLS.get() + 1);
    // Unwind safety: broken invariants of the author's state are the author's concern, as in an axum handler.
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    CALLS.set(CALLS.get() - 1);
    result.map_err(|payload| {
        let text = LATEST.take().unwrap_or_else(|| message(payload.as_ref()).to_owned());
        discard(payload);
        text
    })
}

/// Drops a panic's payload, whose `Drop` may panic too. The second payload is leaked, to end the chain.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        Box::leak(second);
    }
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = message(info.payload());
    info.location().map_or_else(|| message.to_owned(), |location| format!("{message} (at {location})"))
}

fn message(payload: &dyn Any) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
