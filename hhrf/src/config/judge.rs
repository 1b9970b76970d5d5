//! Validation of the gathered values: all of them, so that every mistake is reported at once.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use config::{Value, ValueKind};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::Settings;
use super::sources::RawSettings;
use crate::logging::{self, LogFormat};

pub(super) const HOUR_MS: u64 = 3_600_000;

/// Judges all values; what is wrong is added to `problems`, and has its default here.
pub(super) fn settings(raw: RawSettings, problems: &mut Vec<String>) -> Settings {
    let mut judge = Judge { raw, problems, known: Vec::new() };
    let settings = super::options::settings(&mut judge);
    judge.unknown();
    settings
}

pub(super) struct Judge<'a> {
    raw: RawSettings,
    problems: &'a mut Vec<String>,
    known: Vec<&'static str>,
}

impl Judge<'_> {
    /// The value of `key`, read by `read`; the default if it is missing or invalid.
    fn value<T, E: Display>(
        &mut self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&Value) -> Result<T, E>,
    ) -> T {
        self.known.push(key);
        let Some(raw) = self.raw.remove(key) else { return default };
        read(&raw.value).unwrap_or_else(|error| {
            self.problems.push(format!("{}: {error}", raw.origin));
            default
        })
    }

    pub(super) fn text(&mut self, key: &'static str, default: &str) -> String {
        self.value(key, default.to_owned(), |value| {
            let text = as_text(value)?;
            if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
        })
    }

    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        default: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let default = read(default).expect("the default is valid");
        self.value(key, default, |value| read(&as_text(value)?))
    }

    pub(super) fn number(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.value(key, default, |value| {
            let expected =
                || format!("`{value}` is not a whole number from {} to {}", range.start(), range.end());
            as_number(value).filter(|number| range.contains(number)).ok_or_else(expected)
        })
    }

    /// A size that has no default of its own.
    pub(super) fn optional_size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Option<usize> {
        let is_set = self.raw.contains_key(key);
        let value = self.size(key, range, 0);
        is_set.then_some(value)
    }

    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> usize {
        usize::try_from(self.number(key, range, default)).unwrap_or(usize::MAX)
    }

    pub(super) fn millis(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> Duration {
        Duration::from_millis(self.number(key, range, default))
    }

    pub(super) fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, default, |value| match &value.kind {
            ValueKind::Boolean(value) => Ok(*value),
            ValueKind::String(text) if text == "true" => Ok(true),
            ValueKind::String(text) if text == "false" => Ok(false),
            _ => Err(format!("`{value}` is neither true nor false")),
        })
    }

    pub(super) fn log_filter(&mut self) -> Targets {
        let default = Targets::new().with_default(LevelFilter::INFO);
        self.value("log", default, |value| logging::filter(&as_text(value)?))
    }

    pub(super) fn log_format(&mut self) -> LogFormat {
        self.value("log_format", LogFormat::Auto, |value| match as_text(value)?.as_str() {
            "auto" => Ok(LogFormat::Auto),
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("`{other}` is not a log format; write auto, text or json")),
        })
    }

    /// Reports settings that do not exist, most likely misspelt ones.
    fn unknown(&mut self) {
        for (key, raw) in std::mem::take(&mut self.raw) {
            let nearest = self
                .known
                .iter()
                .max_by(|a, b| strsim::jaro_winkler(a, &key).total_cmp(&strsim::jaro_winkler(b, &key)));
            let hint = nearest
                .filter(|known| strsim::jaro_winkler(known, &key) > 0.8)
                .map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
            self.problems.push(format!("{}: there is no setting `{key}`{hint}", raw.origin));
        }
    }
}

fn as_text(value: &Value) -> Result<String, String> {
    match &value.kind {
        ValueKind::String(text) => Ok(text.clone()),
        _ => Err(format!("`{value}` is not text; write it in quotes")),
    }
}

fn as_number(value: &Value) -> Option<u64> {
    match &value.kind {
        ValueKind::I64(number) => u64::try_from(*number).ok(),
        ValueKind::U64(number) => Some(*number),
        ValueKind::String(text) => text.parse().ok(),
        _ => None,
    }
}
