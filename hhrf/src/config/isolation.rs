//! The settings of isolation and of the pools of workers, and what a `fezz.json` may ask for.

use std::sync::Arc;

use fezz_isolation::host::{Budget, Defaults, HealthOptions, Plan, PoolOptions};
use fezz_isolation::sandbox::{ProcessLimits, Profile};
pub(super) use fezz_manifest::MAX_MEMORY_BYTES;
use fezz_manifest::{MAX_BODY_BYTES, MAX_WORKER_CONCURRENCY, MAX_WORKERS, MIN_MEMORY_BYTES};

use super::judge::{HOUR_MS, Judge};
use crate::catalog::{Policy, SecretRules};

/// What a `fezz.json` may ask for: by default, all that it can say.
pub(super) fn policy(judge: &mut Judge<'_>) -> Policy {
    let workers = u64::from(MAX_WORKERS);
    Policy {
        require_isolation: judge.boolean("require_isolation", false),
        sandbox: judge.parsed("allow_sandbox", "off", |text| match text {
            "strict" => Ok(Profile::Strict),
            "net" => Ok(Profile::Net),
            "off" => Ok(Profile::Off),
            _ => Err(format!("`{text}` is no sandbox; write strict, net or off")),
        }),
        memory_bytes: judge.number(
            "allow_memory_max_bytes",
            MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES,
            MAX_MEMORY_BYTES,
        ),
        workers: judge.size("allow_workers_max", 1..=workers, workers),
        body_bytes: judge.number("allow_max_body_bytes", 0..=MAX_BODY_BYTES, MAX_BODY_BYTES),
        timeout: judge.millis("allow_timeout_ms", 1..=HOUR_MS, HOUR_MS),
        secrets: judge.parsed("allow_secrets", "*:*", SecretRules::parse),
    }
}

/// What holds for functions whose `fezz.json` says nothing else, within what one may ask for.
pub(super) fn defaults(judge: &mut Judge<'_>, policy: &Policy) -> Defaults {
    let mut defaults = stated(judge);
    let Defaults { isolated, plan } = &mut defaults;
    *isolated |= policy.require_isolation;
    plan.max = plan.max.min(policy.workers);
    plan.min = plan.min.min(plan.max);
    plan.spare = plan.spare.min(policy.workers);
    plan.limits.memory_bytes = plan.limits.memory_bytes.min(policy.memory_bytes);
    if plan.profile == Profile::Off {
        // Of the host's own, the settings have `strict` and `off` only; `net` without ports is stricter than the latter.
        plan.profile = policy.sandbox;
    }
    defaults
}

fn stated(judge: &mut Judge<'_>) -> Defaults {
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
    let workers = u64::from(MAX_WORKERS);
    Defaults {
        isolated: judge.parsed("isolation", "none", |text| match text {
            "none" => Ok(false),
            "process" => Ok(true),
            _ => Err(format!("`{text}` is no isolation; write none or process")),
        }),
        plan: Plan {
            min: judge.size("workers_min", 0..=workers, 0),
            max: judge.size("workers_max", 1..=workers, cores.min(workers)),
            spare: judge.size("workers_spare", 0..=workers, 1),
            concurrency: judge.size("worker_concurrency", 1..=MAX_WORKER_CONCURRENCY.into(), 1),
            profile: judge.parsed("sandbox", "strict", |text| match text {
                "strict" => Ok(Profile::Strict),
                "off" => Ok(Profile::Off),
                _ => Err(format!("`{text}` is no sandbox for every function; write strict or off")),
            }),
            ports: Vec::new(),
            limits: ProcessLimits {
                memory_bytes: judge.number(
                    "memory_max_bytes",
                    MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES,
                    512 << 20,
                ),
                open_files: judge.number("worker_open_files", 16..=1_048_576, 512),
                cpu_seconds: judge.number("worker_cpu_seconds", 1..=86_400, 3_600),
                file_bytes: judge.number("worker_file_bytes", 0..=MAX_MEMORY_BYTES, 1 << 30),
                nice: u8::try_from(judge.number("worker_nice", 0..=19, 10)).unwrap_or(19),
            },
            threads: judge.number("worker_threads", 1..=65_536, 256),
        },
    }
}

/// What holds for every pool.
pub(super) fn pool(judge: &mut Judge<'_>, response_memory: Arc<Budget>) -> PoolOptions {
    PoolOptions {
        response_memory,
        start: judge.millis("worker_start_ms", 1..=HOUR_MS, 5_000),
        idle: judge.millis("worker_idle_ms", 1..=24 * HOUR_MS, 300_000),
        max_calls: judge.number("worker_max_calls", 1..=1_000_000_000, 10_000),
        health: HealthOptions {
            backoff: judge.millis("worker_backoff_ms", 0..=HOUR_MS, 10),
            backoff_max: judge.millis("worker_backoff_max_ms", 0..=HOUR_MS, 5_000),
            reset: judge.millis("worker_backoff_reset_ms", 1..=HOUR_MS, 30_000),
            breaker_crashes: judge.size("breaker_crashes", 1..=1_000_000, 5),
            breaker_window: judge.millis("breaker_window_ms", 1..=HOUR_MS, 30_000),
        },
    }
}
