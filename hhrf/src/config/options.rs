//! From settings to the options of each module: names, ranges and defaults.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use fezz_guard::Limits as GuardLimits;
use fezz_isolation::host::Budget;

use super::Settings;
use super::isolation;
use super::judge::{HOUR_MS, Judge};
use crate::function::Limits;
use crate::http::{HeadLimitsLayer, Sticky};
use crate::logging;
use crate::serve::{Addresses, ConnectionOptions, DrainOptions};
use crate::{call, catalog, http, load, serve, supervise};

const GIB: u64 = 1 << 30;
pub(super) const DEFAULT_STATE_DIR: &str = "./.fezz";
/// Elsewhere, each library takes some of the system's few thread-specific keys for good.
const LIBRARIES_WARNING: u64 = if cfg!(all(target_os = "linux", target_env = "gnu")) { 10_000 } else { 800 };

/// All options, from the gathered values.
pub(super) fn settings(judge: &mut Judge<'_>) -> Settings {
    let quarantine_isolates = quarantine_isolates(judge);
    let addresses = addresses(judge);
    let drain = drain(judge);
    let connections = connections(judge);
    let catalog = catalog(judge, quarantine_isolates);
    let response_memory =
        Budget::new(judge.number("response_memory_bytes", 0..=isolation::MAX_MEMORY_BYTES, 256 << 20));
    Settings {
        log: logging::Options { filter: judge.log_filter(), format: judge.log_format() },
        supervise: supervision(judge, quarantine_isolates, &drain, &catalog.state_dir),
        serve: serve::Options {
            settings: serve::SettingsInForce::default(),
            addresses,
            catalog,
            load: load(judge),
            call: call(judge, Arc::clone(&response_memory)),
            http: http(judge, &connections.limits),
            pool: isolation::pool(judge, response_memory),
            connections,
            drain,
        },
        core_dumps: judge.boolean("core_dumps", false),
    }
}

fn addresses(judge: &mut Judge<'_>) -> Addresses {
    Addresses {
        listen: judge.parsed("listen", "127.0.0.1:3000", |text| {
            text.parse().map_err(|_| format!("`{text}` is not an address; write IP:PORT, as 127.0.0.1:3000"))
        }),
        admin: judge.parsed("admin", "127.0.0.1:3001", |text| match text {
            "off" => Ok(None),
            _ => text
                .parse()
                .map(Some)
                .map_err(|_| format!("`{text}` is not an address; write IP:PORT, as 127.0.0.1:3001, or off")),
        }),
    }
}

fn catalog(judge: &mut Judge<'_>, quarantine_isolates: bool) -> catalog::Options {
    let policy = isolation::policy(judge);
    catalog::Options {
        functions: PathBuf::from(judge.text("functions", "./functions")),
        state_dir: PathBuf::from(judge.text("state_dir", DEFAULT_STATE_DIR)),
        secrets_file: judge.parsed("secrets_file", "", |text| {
            Ok(Some(PathBuf::from(text)).filter(|path| !path.as_os_str().is_empty()))
        }),
        limits: Limits {
            timeout: judge.millis("timeout_ms", 1..=HOUR_MS, 30_000).min(policy.timeout),
            max_body_bytes: judge.number("max_body_bytes", 0..=4 * GIB, 10 << 20).min(policy.body_bytes),
            max_concurrency: judge.size("max_concurrency", 1..=65_536, 256),
            max_queue: judge.optional_size("max_queue", 0..=1_048_576),
            queue_wait: judge.millis("queue_ms", 0..=HOUR_MS, 1_000),
            max_response_bytes: judge.number("max_response_bytes", 0..=4 * GIB, 256 << 20),
            max_upgrades: judge.size("max_upgrades", 0..=1_048_576, 1024),
            upgrade_idle: Some(judge.millis("upgrade_idle_ms", 0..=24 * HOUR_MS, 600_000))
                .filter(|limit| !limit.is_zero()),
        },
        isolation: isolation::defaults(judge, &policy),
        policy,
        quarantine_isolates,
        assets: catalog::AssetLimits {
            bytes: judge.number("max_assets_bytes", 0..=1024 * GIB, GIB),
            files: judge.size("max_assets_files", 0..=1_000_000, 50_000),
            depth: judge.size("max_assets_depth", 1..=64, 32),
        },
        probe_timeout: judge.millis("probe_timeout_ms", 1..=HOUR_MS, 2_000),
        timing: catalog::Timing {
            watch: judge.boolean("watch", true),
            settle: judge.millis("settle_ms", 1..=HOUR_MS, 100),
            rescan: judge.millis("rescan_ms", 10..=24 * HOUR_MS, 30_000),
        },
    }
}

fn load(judge: &mut Judge<'_>) -> load::Options {
    load::Options {
        idle: judge.millis("cache_idle_ms", 1..=24 * HOUR_MS, 300_000),
        sweep: judge.millis("cache_sweep_ms", 1..=HOUR_MS, 1_000),
        libraries_warning: judge.size("libraries_warning", 1..=1_000_000, LIBRARIES_WARNING),
    }
}

fn call(judge: &mut Judge<'_>, response_memory: Arc<Budget>) -> call::Options {
    call::Options {
        blocking_threads: judge.size("blocking_threads", 1..=8192, 512),
        abandoned_max: judge.size("abandoned_max", 1..=65_536, 64),
        body_times: call::BodyTimes {
            window: judge.millis("body_timeout_ms", 1..=HOUR_MS, 5_000),
            whole: judge.millis("body_deadline_ms", 1..=24 * HOUR_MS, 300_000),
        },
        request_memory: judge.number("request_memory_bytes", 0..=isolation::MAX_MEMORY_BYTES, 512 << 20),
        response_memory,
        slow_poll: judge.millis("slow_poll_ms", 1..=HOUR_MS, 100),
    }
}

fn http(judge: &mut Judge<'_>, limits: &GuardLimits) -> http::Options {
    http::Options {
        expose_panics: judge.boolean("expose_panics", false),
        head_limits: HeadLimitsLayer {
            max_headers: limits.max_headers,
            max_head_bytes: limits.max_head_bytes,
        },
        sticky: Sticky {
            header: judge.parsed("sticky_header", "x-fezz-sticky", |text| {
                text.parse().map_err(|_| format!("`{text}` is not the name of a header"))
            }),
            cookie: judge.parsed("sticky_cookie", "fezz_sticky", |text| {
                let is_name = text.parse::<::http::HeaderName>().is_ok();
                if is_name {
                    Ok(text.to_owned())
                } else {
                    Err(format!("`{text}` is not the name of a cookie"))
                }
            }),
        },
    }
}

fn connections(judge: &mut Judge<'_>) -> ConnectionOptions {
    ConnectionOptions {
        max: judge.size("max_connections", 1..=1_000_000, 10_000),
        limits: GuardLimits {
            max_headers: judge.size("max_headers", 1..=100, 100),
            max_head_bytes: judge.size("max_head_bytes", 1024..=65_536, 32_768),
            header_timeout: judge.millis("header_timeout_ms", 1..=HOUR_MS, 5_000),
            idle_timeout: judge.millis("idle_timeout_ms", 1..=24 * HOUR_MS, 75_000),
            write_timeout: judge.millis("write_timeout_ms", 1..=HOUR_MS, 30_000),
        },
    }
}

fn drain(judge: &mut Judge<'_>) -> DrainOptions {
    DrainOptions {
        delay: judge.millis("drain_delay_ms", 0..=HOUR_MS, 1_000),
        grace: judge.millis("grace_ms", 0..=HOUR_MS, 10_000),
        hand_over: judge.millis("hand_over_ms", 0..=HOUR_MS, 5_000),
    }
}

fn quarantine_isolates(judge: &mut Judge<'_>) -> bool {
    judge.parsed("quarantine", "refuse", |text| match text {
        "refuse" => Ok(false),
        "isolate" => Ok(true),
        _ => Err(format!("`{text}` is no quarantine; write refuse or isolate")),
    })
}

fn supervision(
    judge: &mut Judge<'_>,
    quarantine_isolates: bool,
    drain: &DrainOptions,
    state_dir: &Path,
) -> supervise::Options {
    supervise::Options {
        quarantine_crashes: u32::try_from(judge.number("quarantine_crashes", 1..=1_000_000, 3))
            .unwrap_or(u32::MAX),
        quarantine_window: judge.millis("quarantine_window_ms", 1_000..=24 * HOUR_MS, HOUR_MS),
        quarantine_isolates,
        watchdog: judge.millis("watchdog_ms", 1_000..=HOUR_MS, 20_000),
        memory_bytes: judge.number("renew_memory_bytes", 0..=isolation::MAX_MEMORY_BYTES, 0),
        watch_program: judge.boolean("watch_program", true),
        drain: drain.delay + drain.grace,
        hand_over: drain.hand_over,
        start: judge.millis("start_timeout_ms", 1_000..=HOUR_MS, 60_000),
        // Serving processes may have another working directory one day; that of a removed folder has none.
        state_dir: std::path::absolute(state_dir).unwrap_or_else(|_| state_dir.to_owned()),
    }
}
