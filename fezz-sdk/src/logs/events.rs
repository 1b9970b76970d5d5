//! Events of the `tracing` crate.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::dispatcher::{self, DefaultGuard, Dispatch};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record as Values};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;

use crate::entry::{Record, current};
use crate::host::{self, Level};

/// Whether the host's subscriber takes events, once that is settled.
static IS_OURS: OnceLock<bool> = OnceLock::new();
/// What takes the events of a set-up; the host's subscriber, if the application installs none.
static DURING: Mutex<Option<Dispatch>> = Mutex::new(None);
/// Whether threads of the runtime have it as their default.
static SETS_UP: AtomicBool = AtomicBool::new(false);

/// Begins a set-up: until the guard is dropped, what this thread logs goes to the host. At later loads that is settled.
pub(super) fn begin() -> Option<DefaultGuard> {
    if IS_OURS.get().is_some() {
        return None;
    }
    let dispatch = during().get_or_insert_with(|| Dispatch::new(subscriber())).clone();
    SETS_UP.store(true, Ordering::Release);
    Some(dispatcher::set_default(&dispatch))
}

/// Ends it.
pub(super) fn end(guard: Option<DefaultGuard>) {
    SETS_UP.store(false, Ordering::Release);
    drop(guard);
}

/// Installs the subscriber, and follows the host's level at each load; false if the application has its own.
pub(super) fn install() -> bool {
    let is_ours = *IS_OURS.get_or_init(|| {
        let dispatch = during().take().unwrap_or_else(|| Dispatch::new(subscriber()));
        dispatcher::set_global_default(dispatch).is_ok()
    });
    // The level may have changed, and what was of interest was so to the subscriber of the set-up.
    tracing::callsite::rebuild_interest_cache();
    is_ours
}

fn during() -> MutexGuard<'static, Option<Dispatch>> {
    DURING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(feature = "tokio")]
pub(crate) mod threads {
    //! The runtime's threads during a set-up.

    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::dispatcher::{self, DefaultGuard};

    use super::{SETS_UP, during};

    thread_local! {
        /// The default of a runtime's thread that was started during the set-up.
        static THREAD: Cell<Option<DefaultGuard>> = const { Cell::new(None) };
    }

    /// A thread of the runtime starts, one of so many that run tasks and of others that block. The former have the events of a
    /// set-up go to the host; the latter could not give that up again.
    pub(crate) fn started(workers: usize) {
        static STARTED: AtomicUsize = AtomicUsize::new(0);
        if SETS_UP.load(Ordering::Acquire) && STARTED.fetch_add(1, Ordering::Relaxed) < workers {
            let dispatch = during().clone();
            THREAD.set(dispatch.as_ref().map(dispatcher::set_default));
        }
    }

    /// A thread of the runtime goes on: the set-up may have ended.
    pub(crate) fn unparked() {
        if !SETS_UP.load(Ordering::Acquire) {
            THREAD.take();
        }
    }
}

fn subscriber() -> impl Subscriber + Send + Sync {
    tracing_subscriber::registry().with(ToHost)
}

struct ToHost;

fn level(metadata: &Metadata<'_>) -> Level {
    match *metadata.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for ToHost {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        host::is_logged(level(metadata))
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match host::log_level() {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields { request_id: current::request_id(), ..Fields::default() };
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &Id, values: &Values<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields { request_id: current::request_id(), ..Fields::default() };
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(inherited) = span.extensions().get::<Fields>() {
                // A spawned task runs outside the call that started it; its span knows the request.
                if fields.request_id.is_empty() {
                    fields.request_id.clone_from(&inherited.request_id);
                }
                fields.list.extend(inherited.list.iter().cloned());
            }
        }
        host::write(&Record {
            level: level(metadata),
            message: &fields.message,
            target: metadata.target(),
            file: metadata.file().unwrap_or_default(),
            line: metadata.line().unwrap_or_default(),
            request_id: &fields.request_id,
            fields: &fields.list,
        });
    }
}

/// The fields of an event or a span.
#[derive(Default)]
struct Fields {
    message: String,
    list: Vec<(String, String)>,
    request_id: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, format!("{value:?}"));
    }
}

impl Fields {
    fn push(&mut self, field: &Field, value: String) {
        if field.name() == "message" {
            self.message = value;
        } else {
            self.list.push((field.name().to_owned(), value));
        }
    }
}
