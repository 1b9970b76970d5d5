//! Judges the gathered values, all of them, whatever is wrong with one.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use config::{Value, ValueKind};
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::sources::RawSettings;
use super::{Limits, LogFormat, Settings, Sticky, Timing};
use crate::logging;

const HOUR_MS: u64 = 3_600_000;
const GIB: u64 = 1 << 30;

/// Builds the settings; what is wrong is added to `problems`, and has its default here.
pub(super) fn settings(raw: RawSettings, problems: &mut Vec<String>) -> Settings {
    let mut judge = Judge { raw, problems, known: Vec::new() };
    let settings = Settings {
        functions: PathBuf::from(judge.text("functions", "./functions")),
        listen: judge.parsed("listen", "127.0.0.1:3000", |text| {
            text.parse().map_err(|_| format!("`{text}` is not an address; write IP:PORT, as 127.0.0.1:3000"))
        }),
        state_dir: PathBuf::from(judge.text("state_dir", "./.fezz")),
        log: judge.log_filter(),
        log_format: judge.log_format(),
        expose_panics: judge.boolean("expose_panics", false),
        limits: Limits {
            timeout: judge.millis("timeout_ms", 1..=HOUR_MS, 30_000),
            max_body_bytes: judge.number("max_body_bytes", 0..=4 * GIB, 10 << 20),
            max_concurrency: judge.size("max_concurrency", 1..=65_536, 256),
        },
        blocking_threads: judge.size("blocking_threads", 1..=8192, 512),
        slow_poll: judge.millis("slow_poll_ms", 1..=HOUR_MS, 100),
        max_connections: judge.size("max_connections", 1..=1_000_000, 10_000),
        max_headers: judge.size("max_headers", 1..=100, 100),
        max_head_bytes: judge.size("max_head_bytes", 1024..=65_536, 32_768),
        header_timeout: judge.millis("header_timeout_ms", 1..=HOUR_MS, 5_000),
        body_timeout: judge.millis("body_timeout_ms", 1..=HOUR_MS, 5_000),
        idle_timeout: judge.millis("idle_timeout_ms", 1..=24 * HOUR_MS, 75_000),
        write_timeout: judge.millis("write_timeout_ms", 1..=HOUR_MS, 30_000),
        grace: judge.millis("grace_ms", 0..=HOUR_MS, 10_000),
        cache_idle: judge.millis("cache_idle_ms", 1..=24 * HOUR_MS, 300_000),
        cache_sweep: judge.millis("cache_sweep_ms", 1..=HOUR_MS, 1_000),
        probe_timeout: judge.millis("probe_timeout_ms", 1..=HOUR_MS, 2_000),
        secrets_file: judge.parsed("secrets_file", "", |text| {
            Ok(Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
        }),
        timing: Timing {
            watch: judge.boolean("watch", true),
            settle: judge.millis("settle_ms", 1..=HOUR_MS, 100),
            rescan: judge.millis("rescan_ms", 10..=24 * HOUR_MS, 30_000),
        },
        sticky: Sticky {
            header: judge.parsed("sticky_header", "x-fezz-sticky", |text| {
                text.parse().map_err(|_| format!("`{text}` is not the name of a header"))
            }),
            cookie: judge.parsed("sticky_cookie", "fezz_sticky", |text| {
                let is_name = text.parse::<http::HeaderName>().is_ok();
                if is_name {
                    Ok(text.to_owned())
                } else {
                    Err(format!("`{text}` is not the name of a cookie"))
                }
            }),
        },
        admin: judge.parsed("admin", "127.0.0.1:3001", |text| match text {
            "off" => Ok(None),
            _ => text
                .parse()
                .map(Some)
                .map_err(|_| format!("`{text}` is not an address; write IP:PORT, as 127.0.0.1:3001, or off")),
        }),
        drain_delay: judge.millis("drain_delay_ms", 0..=HOUR_MS, 1_000),
        libraries_warning: judge.size("libraries_warning", 1..=1_000_000, 800),
    };
    judge.unknown();
    settings
}

struct Judge<'a> {
    raw: RawSettings,
    problems: &'a mut Vec<String>,
    known: Vec<&'static str>,
}

impl Judge<'_> {
    /// The value of `key`, read by `read`; the default where there is none, or where it is wrong.
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

    fn text(&mut self, key: &'static str, default: &str) -> String {
        self.value(key, default.to_owned(), |value| {
            let text = as_text(value)?;
            if text.is_empty() { Err("it is empty".to_owned()) } else { Ok(text) }
        })
    }

    fn parsed<T>(&mut self, key: &'static str, default: &str, read: impl Fn(&str) -> Result<T, String>) -> T {
        let default = read(default).expect("the default is valid");
        self.value(key, default, |value| read(&as_text(value)?))
    }

    fn number(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> u64 {
        self.value(key, default, |value| {
            let expected =
                || format!("`{value}` is not a whole number from {} to {}", range.start(), range.end());
            as_number(value).filter(|number| range.contains(number)).ok_or_else(expected)
        })
    }

    fn size(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> usize {
        usize::try_from(self.number(key, range, default)).unwrap_or(usize::MAX)
    }

    fn millis(&mut self, key: &'static str, range: RangeInclusive<u64>, default: u64) -> Duration {
        Duration::from_millis(self.number(key, range, default))
    }

    fn boolean(&mut self, key: &'static str, default: bool) -> bool {
        self.value(key, default, |value| match &value.kind {
            ValueKind::Boolean(value) => Ok(*value),
            ValueKind::String(text) if text == "true" => Ok(true),
            ValueKind::String(text) if text == "false" => Ok(false),
            _ => Err(format!("`{value}` is neither true nor false")),
        })
    }

    fn log_filter(&mut self) -> Targets {
        let default = Targets::new().with_default(LevelFilter::INFO);
        self.value("log", default, |value| logging::filter(&as_text(value)?))
    }

    fn log_format(&mut self) -> LogFormat {
        self.value("log_format", LogFormat::Auto, |value| match as_text(value)?.as_str() {
            "auto" => Ok(LogFormat::Auto),
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            other => Err(format!("`{other}` is not a log format; write auto, text or json")),
        })
    }

    /// What is left over is a mistake, and most likely one of spelling.
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
