//! Panics stop here: caught, with their message and place, instead of unwinding into the host.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::host::Level;

thread_local! {
    /// How many calls this thread is in; a panic outside of any is the function's own thread's affair.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// Message and place of this thread's latest panic, left by the hook for [`catch`].
    static LATEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Sets the panic hook of this library's own copy of std; the host's and other libraries' are not touched.
pub(super) fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CALLS.get() > 0 {
                LATEST.set(Some(describe(info)));
            } else if crate::host::host().is_some() {
                // A thread or a task of the function's own: nobody else would tell.
                crate::log(Level::Error, &format!("a thread panicked: {}", describe(info)));
            } else {
                previous(info);
            }
        }));
    });
}

/// Runs `call`; a panic in it becomes its message and place.
pub(super) fn catch<T>(call: impl FnOnce() -> T) -> Result<T, String> {
    install_hook();
    CALLS.set(CALLS.get() + 1);
    // Unwind safety: whatever `call` leaves half-done is the author's, as it would be with a panic in an axum handler.
    let result = panic::catch_unwind(AssertUnwindSafe(call));
    CALLS.set(CALLS.get() - 1);
    result.map_err(|payload| {
        let text = LATEST.take().unwrap_or_else(|| message(payload.as_ref()).to_owned());
        discard(payload);
        text
    })
}

/// Drops a panic's payload, whose own `Drop` may panic in turn; that second payload is leaked, to end it there.
fn discard(payload: Box<dyn Any + Send>) {
    if let Err(second) = panic::catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        Box::leak(second);
    }
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let message = message(info.payload());
    info.location().map_or_else(|| message.to_owned(), |place| format!("{message} (at {place})"))
}

fn message(payload: &dyn Any) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message")
}
