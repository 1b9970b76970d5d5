//! The log of a probe process: keeps the last error that the function has logged, which says why its `fezz_init` failed.

use std::fmt::{self, Write as _};
use std::sync::{Mutex, PoisonError};

use fezz_runtime::ffi::TARGET;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// No more than this of a message is kept, in bytes.
const MESSAGE_BYTES: usize = 1024;

static LAST: Mutex<Option<String>> = Mutex::new(None);

/// Starts it; later calls change nothing.
pub(super) fn start() {
    // Fails only where there is a log already.
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Errors));
}

/// The last error that the function has logged.
pub(super) fn last_error() -> Option<String> {
    LAST.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

struct Errors;

impl<S: Subscriber> Layer<S> for Errors {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.target() == TARGET && *metadata.level() == Level::ERROR
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let end = message.0.floor_char_boundary(MESSAGE_BYTES);
        message.0.truncate(end);
        *LAST.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.0);
    }
}

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            // Writing to a string does not fail.
            let _ = write!(self.0, "{value:?}");
        }
    }
}
