//! Panic handling: panics are caught with message and location, and do not unwind into the host.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::host::Level;

thread_local! {
    /// Depth of [`catch`] on this thread. At 0, a panic belongs to a thread or task that the function started.
    static CALLS: Cell<u32> = const { Cell::new(0) };
    /// Message and location of this thread's latest panic, stored by the hook for [`catch`].
    static LATEST: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Whether this thread is in a hook of ours: an application's hook may call the one that was there before it.
    static NOTING: Cell<bool> = const { Cell::new(false) };
}

type Hook = Box<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The address of our hook, which tells it from the application's.
static OURS: AtomicUsize = AtomicUsize::new(0);

/// Sets the panic hook of this library's own copy of std; the hooks of the host and of other libraries are not affected.
pub(super) fn install_hook() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| wrap(panic::take_hook(), Previous::Default));
}

/// Puts our hook in front of the one that the application has set, if it has: both are called.
pub(super) fn adopt_hook() {
    let found = panic::take_hook();
    if address(&found) == OURS.load(Ordering::Relaxed) {
        panic::set_hook(found);
    } else {
        wrap(found, Previous::Application);
    }
}

/// Whose hook stands behind ours.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Previous {
    /// That of std, which prints: in a host nobody needs that.
    Default,
    Application,
}

fn wrap(hook: Hook, whose: Previous) {
    let ours: Hook = Box::new(move |info| {
        let noted = NOTING.replace(true) || note(info);
        if whose == Previous::Application || !noted {
            hook(info);
        }
        NOTING.set(false);
    });
    OURS.store(address(&ours), Ordering::Relaxed);
    panic::set_hook(ours);
}

fn address(hook: &Hook) -> usize {
    (&raw const **hook).addr()
}

/// Keeps or logs a panic; false outside of a call and of a host, as in a unit test.
fn note(info: &PanicHookInfo<'_>) -> bool {
    if CALLS.get() > 0 {
        LATEST.set(Some(describe(info)));
        return true;
    }
    // A thread or task of the function's own: log it, since no caller reports it.
    let has_host = crate::host::host().is_some();
    if has_host {
        crate::log(Level::Error, &format!("a thread panicked: {}", describe(info)));
    }
    has_host
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
