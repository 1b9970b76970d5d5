//! The worker's tracing subscriber: sends every record to the host, over the socket that the setup came from.

use std::fmt::{self, Debug};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::protocol::{Encoder, FrameKind, Record};

/// Sends this process's log records of `level` and above to `socket`; levels as in the C contract.
pub(super) fn start(socket: UnixStream, level: u32) {
    let level = match level {
        0 => LevelFilter::OFF,
        1 => LevelFilter::ERROR,
        2 => LevelFilter::WARN,
        3 => LevelFilter::INFO,
        4 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    };
    let subscriber = tracing_subscriber::registry().with(Forward(Mutex::new(socket)).with_filter(level));
    // Fails only if there is one already.
    let _ = tracing::subscriber::set_global_default(subscriber);
}

struct Forward(Mutex<UnixStream>);

impl<S: Subscriber> Layer<S> for Forward {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record { level: event.metadata().level().to_string(), ..Record::default() };
        event.record(&mut record);
        record.message.truncate(record.message.floor_char_boundary(MAX_MESSAGE));
        let mut frame = Vec::new();
        let mut encoder = Encoder::new(&mut frame, FrameKind::Log, 0);
        encoder.rest(&serde_json::to_vec(&record).unwrap_or_default());
        if encoder.finish().is_ok() {
            // Fails only if the host has ended.
            let _ = self.0.lock().unwrap_or_else(PoisonError::into_inner).write_all(&frame);
        }
    }
}

/// Longest message, in bytes. The frame also holds the other fields and JSON's escapes.
const MAX_MESSAGE: usize = 64 << 10;

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => value.clone_into(&mut self.message),
            "module" => value.clone_into(&mut self.module),
            "request_id" => value.clone_into(&mut self.request_id),
            "file" => value.clone_into(&mut self.file),
            "fields" => value.clone_into(&mut self.fields),
            _ => {}
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "line" {
            self.line = Some(value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &fmt::format(format_args!("{value:?}")));
    }
}
