//! CPU placement: server and load pinned to a CPU each, or sharing all CPUs.

use serde::{Deserialize, Serialize};

use crate::error::BenchError;

/// From this share on a CPU counts as busy.
const BUSY: f64 = 0.9;

/// How runs are placed, as it is recorded: figures of the two kinds are kept apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Placement {
    Pinned,
    Shared,
}

/// The CPUs that each side runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cores {
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only Linux pins"))]
    Pinned { server: usize, load: usize },
    /// Neither side is pinned: on request, or because it is not possible, for this reason.
    Shared { cpus: usize, forced_by: Option<&'static str> },
}

impl Cores {
    /// Shares all CPUs if asked to, and pins otherwise, where the system can.
    pub(crate) fn plan(shared: bool) -> Self {
        if shared { Self::shared(None) } else { Self::pinned().unwrap_or_else(|why| Self::shared(Some(why))) }
    }

    fn shared(forced_by: Option<&'static str>) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::Shared { cpus, forced_by }
    }

    /// The first two CPUs that this process may use: in a container or under `taskset` not always 0 and 1.
    #[cfg(target_os = "linux")]
    fn pinned() -> Result<Self, &'static str> {
        use rustix::thread::{CpuSet, sched_getaffinity};
        let allowed = sched_getaffinity(None).map_err(|_| "the allowed CPUs are unknown")?;
        let mut cores = (0..CpuSet::MAX_CPU).filter(|&core| allowed.is_set(core));
        match (cores.next(), cores.next()) {
            (Some(server), Some(load)) => Ok(Self::Pinned { server, load }),
            _ => Err("there is one CPU only"),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn pinned() -> Result<Self, &'static str> {
        Err("this system cannot pin")
    }

    /// Moves this process to the server's CPU; children started from now on stay there.
    pub(crate) fn be_server(self) -> Result<(), BenchError> {
        if let Self::Pinned { server, .. } = self { pin(server) } else { Ok(()) }
    }

    /// Moves this process to the load's CPU.
    pub(crate) fn be_load(self) -> Result<(), BenchError> {
        if let Self::Pinned { load, .. } = self { pin(load) } else { Ok(()) }
    }

    pub(crate) const fn placement(self) -> Placement {
        match self {
            Self::Pinned { .. } => Placement::Pinned,
            Self::Shared { .. } => Placement::Shared,
        }
    }

    /// Whether the load, one thread, had no time left while the server had: then the load was measured. The server's
    /// time counts as zero where it is unknown.
    pub(crate) fn is_load_bound(self, load: f64, server: f64) -> bool {
        let server_has_time = match self {
            Self::Pinned { .. } => server <= BUSY,
            Self::Shared { cpus, .. } => server + load <= BUSY * cpus as f64,
        };
        load > BUSY && server_has_time
    }

    /// For the report.
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Pinned { server, load } if are_siblings(server, load) => {
                format!("server on CPU {server}, load on CPU {load}, which are two threads of ONE core")
            }
            Self::Pinned { server, load } => format!("server on CPU {server}, load on CPU {load}"),
            Self::Shared { cpus, forced_by: None } => format!("server and load share {cpus} CPUs"),
            Self::Shared { cpus, forced_by: Some(why) } => {
                format!("server and load share {cpus} CPUs, NOT pinned ({why})")
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn pin(core: usize) -> Result<(), BenchError> {
    let mut set = rustix::thread::CpuSet::new();
    set.set(core);
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| BenchError::io(format!("pinning to CPU {core}"))(error.into()))
}

#[cfg(not(target_os = "linux"))]
fn pin(_core: usize) -> Result<(), BenchError> {
    Ok(())
}

/// Whether two CPUs are hyper-threads of one core. Linux writes such a list as "0-1" or "0,64".
fn are_siblings(one: usize, other: usize) -> bool {
    let file = format!("/sys/devices/system/cpu/cpu{one}/topology/thread_siblings_list");
    let list = std::fs::read_to_string(file).unwrap_or_default();
    list.trim().split(',').any(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        matches!((first.parse(), last.parse()), (Ok(first), Ok(last)) if (first..=last).contains(&other))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sharing_is_said_and_recorded() {
        let cores = Cores::plan(true);
        assert_eq!(cores.placement(), Placement::Shared);
        assert!(cores.describe().starts_with("server and load share "), "{}", cores.describe());
        let forced = Cores::Shared { cpus: 1, forced_by: Some("there is one CPU only") };
        assert_eq!(forced.describe(), "server and load share 1 CPUs, NOT pinned (there is one CPU only)");
    }

    #[test]
    fn a_load_is_the_bound_only_while_the_server_has_time_left() {
        let pinned = Cores::Pinned { server: 0, load: 1 };
        let shared = Cores::Shared { cpus: 2, forced_by: None };
        assert!(pinned.is_load_bound(0.95, 0.8) && !pinned.is_load_bound(0.95, 0.95));
        assert!(!pinned.is_load_bound(0.8, 0.8));
        assert!(shared.is_load_bound(0.95, 0.8) && !shared.is_load_bound(0.95, 1.0));
    }
}
