//! The plan of an isolated function: its `fezz.json`, with the host's settings as defaults.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fezz_manifest::{Isolation, Manifest, Sandbox, Workers};

use super::budget::Budget;
use crate::sandbox::{Confinement, ProcessLimits, Profile};

/// Number, sandbox and limits of a function's workers, as its author or the host's operator has set them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Workers that are kept without any calls.
    pub min: usize,
    /// Most workers at the same time.
    pub max: usize,
    /// Idle workers that are kept ready while the function is in use.
    pub spare: usize,
    /// Calls that a worker runs concurrently.
    pub concurrency: usize,
    /// How far the workers are restricted.
    pub profile: Profile,
    /// TCP ports that [`Profile::Net`] may connect to.
    pub ports: Vec<u16>,
    /// Resource limits of each worker.
    pub limits: ProcessLimits,
    /// Most threads of a worker; one with more is killed.
    pub threads: u64,
}

/// The host's settings for what a `fezz.json` leaves open.
#[derive(Clone, Debug)]
pub struct Defaults {
    /// Whether functions are isolated.
    pub isolated: bool,
    /// The plan of functions that are.
    pub plan: Plan,
}

/// Settings of all pools.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// Time limit for the start of a worker.
    pub start: Duration,
    /// Time to idle: after this time without a call a worker ends.
    pub idle: Duration,
    /// Number of calls after which a worker is replaced.
    pub max_calls: u64,
    /// Backoff and circuit breaker.
    pub health: HealthOptions,
    /// The memory of all answers that are not sent yet.
    pub response_memory: Arc<Budget>,
}

/// Backoff and circuit breaker for workers that crash.
#[derive(Clone, Debug)]
pub struct HealthOptions {
    /// First delay before a worker is started again; it doubles with each crash.
    pub backoff: Duration,
    /// Longest delay.
    pub backoff_max: Duration,
    /// Time without a crash after which the delay is the first one again.
    pub reset: Duration,
    /// Number of crashes within the window that opens the circuit breaker.
    pub breaker_crashes: usize,
    /// Length of the window.
    pub breaker_window: Duration,
}

impl Plan {
    /// The sandbox of a child of this process that loads `library`, reads what is in `assets` and writes to `data_dir`.
    pub fn confinement(&self, library: &Path, assets: Option<&Path>, data_dir: &Path) -> Confinement {
        Confinement {
            profile: self.profile,
            ports: self.ports.clone(),
            readable: [Some(library), assets].into_iter().flatten().map(Path::to_owned).collect(),
            writable: vec![data_dir.to_owned()],
            limits: self.limits,
            parent: std::process::id(),
        }
    }
}

impl Defaults {
    /// The plan of the function with this manifest; `None` if it runs in the host's process. `forced` isolates it in any
    /// case.
    pub fn plan(&self, manifest: &Manifest, forced: bool) -> Option<Plan> {
        let isolated = match manifest.isolation {
            _ if forced => true,
            Some(isolation) => isolation == Isolation::Process,
            None => self.isolated,
        };
        isolated.then(|| {
            let Workers { min, max, spare } = manifest.workers;
            let (plan, number) = (&self.plan, |number: u32| number as usize);
            let max = max.map_or(plan.max.max(min.map_or(0, number)), number);
            Plan {
                min: min.map_or(plan.min.min(max), number),
                max,
                spare: spare.map_or(plan.spare, number),
                concurrency: manifest.worker_concurrency.map_or(plan.concurrency, number),
                profile: manifest.sandbox.map_or(plan.profile, profile),
                ports: manifest.ports.clone(),
                limits: ProcessLimits {
                    memory_bytes: manifest.memory_max_bytes.unwrap_or(plan.limits.memory_bytes),
                    ..plan.limits
                },
                threads: plan.threads,
            }
        })
    }
}

const fn profile(sandbox: Sandbox) -> Profile {
    match sandbox {
        Sandbox::Strict => Profile::Strict,
        Sandbox::Net => Profile::Net,
        Sandbox::Off => Profile::Off,
    }
}
