//! Writes a worker's log records to the host's log.

use bytes::Bytes;
use fezz_runtime::ffi::TARGET;

use crate::protocol::Record;

/// Writes a record, given as JSON, to the host's log.
pub(super) fn log(function: &str, worker: u32, payload: &Bytes) {
    let Ok(record) = serde_json::from_slice::<Record>(payload) else {
        return tracing::warn!(function, worker, "the worker sent a log record that cannot be read");
    };
    let Record { message, line, .. } = &record;
    let (module, request_id) = (filled(&record.module), filled(&record.request_id));
    let (file, fields) = (filled(&record.file), filled(&record.fields));
    // tracing needs the level at compile time, hence a call for each.
    macro_rules! write {
        ($level:ident) => {
            tracing::$level!(target: TARGET, function, worker, module, request_id, file, line, fields, "{message}")
        };
    }
    match record.level.as_str() {
        "ERROR" => write!(error),
        "WARN" => write!(warn),
        "INFO" => write!(info),
        "DEBUG" => write!(debug),
        _ => write!(trace),
    }
}

fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}
