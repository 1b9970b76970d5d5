//! Records of the `log` crate.

use std::sync::OnceLock;

use log::{LevelFilter, Log, Metadata, Record};

use crate::entry::current;
use crate::host::{self, Level};

struct ToHost;

/// Installs the logger, and follows the host's level at each load; false if the application has its own.
pub(super) fn install() -> bool {
    static IS_OURS: OnceLock<bool> = OnceLock::new();
    let is_ours = *IS_OURS.get_or_init(|| log::set_logger(&ToHost).is_ok());
    if is_ours {
        log::set_max_level(match host::log_level() {
            0 => LevelFilter::Off,
            1 => LevelFilter::Error,
            2 => LevelFilter::Warn,
            3 => LevelFilter::Info,
            4 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        });
    }
    is_ours
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
