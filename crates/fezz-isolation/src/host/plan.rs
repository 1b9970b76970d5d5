//! How an isolated function is run: its `fezz.json` over the host's settings.

use std::path::Path;
use std::time::Duration;

use fezz_manifest::{Isolation, Manifest, Sandbox, Workers};

use crate::sandbox::{Confinement, ProcessLimits, Profile};

/// Everything about a function's workers that its author or the host's operator decides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Plan {
    /// Workers that are kept however long nobody calls.
    pub min: usize,
    pub max: usize,
    /// Idle workers that are kept ready.
    pub spare: usize,
    /// Calls that a worker runs at once.
    pub concurrency: usize,
    pub profile: Profile,
    pub ports: Vec<u16>,
    pub limits: ProcessLimits,
    pub threads: u64,
}

/// What holds for functions whose `fezz.json` says nothing else.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub isolated: bool,
    pub plan: Plan,
}

/// What holds for every pool.
#[derive(Clone, Debug)]
pub struct PoolOptions {
    /// How long a worker may take to start.
    pub start: Duration,
    /// After how long without a call a worker ends.
    pub idle: Duration,
    /// After how many calls a worker is replaced.
    pub max_calls: u64,
    pub health: HealthOptions,
}

/// How a pool deals with workers that crash.
#[derive(Clone, Debug)]
pub struct HealthOptions {
    /// The first delay before a worker is started again; it doubles with each crash.
    pub backoff: Duration,
    pub backoff_max: Duration,
    /// After how long without a crash the delay is the first one again.
    pub reset: Duration,
    /// How many crashes within the window refuse calls for a while.
    pub breaker_crashes: usize,
    pub breaker_window: Duration,
}

impl Plan {
    /// What holds for a process that loads this library and writes to this folder.
    pub fn confinement(&self, library: &Path, data_dir: &Path) -> Confinement {
        Confinement {
            profile: self.profile,
            ports: self.ports.clone(),
            readable: vec![library.to_owned()],
            writable: vec![data_dir.to_owned()],
            limits: self.limits,
            parent: std::process::id(),
        }
    }
}

impl Defaults {
    /// The plan of the function with this manifest; none where it runs in the host's process. `forced` isolates it
    /// whatever it asks for.
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
