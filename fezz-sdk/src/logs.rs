//! Forwards events of the `tracing` crate and records of the `log` crate to the host's log.
//!
//! Each library has its own copies of both crates. They are set up here before `init`, so a function cannot install a
//! subscriber or logger of its own, and need not.

/// Installs both at the first load, and updates the level at each load.
pub(crate) fn start() {
    #[cfg(feature = "log")]
    records::start();
    #[cfg(feature = "tracing")]
    events::start();
}

#[cfg(feature = "log")]
mod records {
    use log::{LevelFilter, Log, Metadata, Record};

    use crate::entry::current;
    use crate::host::{self, Level};

    struct ToHost;

    pub(super) fn start() {
        // Fails from the second load on, or if the function has installed its own.
        let _ = log::set_logger(&ToHost);
        log::set_max_level(match host::log_level() {
            0 => LevelFilter::Off,
            1 => LevelFilter::Error,
            2 => LevelFilter::Warn,
            3 => LevelFilter::Info,
            4 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        });
    }

    const fn level(level: log::Level) -> Level {
        match level {
            log::Level::Error => Level::Error,
            log::Level::Warn => Level::Warn,
            log::Level::Info => Level::Info,
            log::Level::Debug => Level::Debug,
            log::Level::Trace => Level::Trace,
        }
    }

    impl Log for ToHost {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            host::is_logged(level(metadata.level()))
        }

        fn log(&self, record: &Record<'_>) {
            if !self.enabled(record.metadata()) {
                return;
            }
            host::write(&crate::entry::Record {
                level: level(record.level()),
                message: &record.args().to_string(),
                target: record.target(),
                file: record.file().unwrap_or_default(),
                line: record.line().unwrap_or_default(),
                request_id: &current::request_id(),
                fields: &[],
            });
        }

        fn flush(&self) {}
    }
}

#[cfg(feature = "tracing")]
mod events {
    use std::fmt;

    use tracing::field::{Field, Visit};
    use tracing::level_filters::LevelFilter;
    use tracing::span::{Attributes, Id, Record as Values};
    use tracing::{Event, Metadata, Subscriber};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
    use tracing_subscriber::registry::LookupSpan;

    use crate::entry::{Record, current};
    use crate::host::{self, Level};

    struct ToHost;

    pub(super) fn start() {
        let subscriber = tracing_subscriber::registry().with(ToHost);
        if tracing::subscriber::set_global_default(subscriber).is_err() {
            // Not the first load: the level may have changed.
            tracing::callsite::rebuild_interest_cache();
        }
    }

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
}
