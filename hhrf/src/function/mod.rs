//! A function that is served, and all that belongs to it: key, limits, running calls, statistics.

mod calls;
mod cors;
mod key;
mod quarantine;
mod retirement;
mod stats;

pub(crate) use calls::Calls;
pub(crate) use cors::CorsPolicy;
pub(crate) use key::{FunctionKey, Tag};
pub(crate) use quarantine::Quarantined;
pub(crate) use retirement::Retirement;
pub(crate) use stats::{RouteStats, Stats, method_label};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fezz_isolation::host::Plan;
pub(crate) use fezz_manifest::Swap;
use fezz_manifest::{RouteTable, Version};
use fezz_runtime::sys::crash_record::Entry;
use fezz_runtime::{Digest, Variables};

/// The calls that may wait for each one that may run, unless it is set.
const QUEUE_PER_CALL: usize = 8;

/// What a function may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) max_body_bytes: u64,
    pub(crate) max_concurrency: usize,
    /// How many calls may wait for others to end; by default, in proportion to those that may run.
    pub(crate) max_queue: Option<usize>,
    /// How long a call may wait.
    pub(crate) queue_wait: Duration,
    /// The largest response in one piece, in bytes.
    pub(crate) max_response_bytes: u64,
    /// The most open upgraded connections.
    pub(crate) max_upgrades: usize,
    /// How long nothing may pass over one of them; none for any time.
    pub(crate) upgrade_idle: Option<Duration>,
}

impl Limits {
    /// How many calls may wait.
    pub(crate) fn max_queue(&self) -> usize {
        self.max_queue.unwrap_or(self.max_concurrency.saturating_mul(QUEUE_PER_CALL))
    }
}

/// The files that belong to an application, in the store.
#[derive(Clone, Debug)]
pub(crate) struct Assets {
    pub(crate) folder: PathBuf,
    /// Of all names and contents.
    pub(crate) digest: Digest,
    pub(crate) files: usize,
    pub(crate) bytes: u64,
    /// The libraries among them that its own is linked with: names and contents.
    pub(crate) libraries: Vec<(String, Digest)>,
}

/// One build of a function, with its settings: an entry of the catalog.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) key: Arc<FunctionKey>,
    pub(crate) version: Version,
    pub(crate) routes: RouteTable,
    pub(crate) limits: Limits,
    /// Which pages of other origins may call it; none where that is its own affair.
    pub(crate) cors: Option<CorsPolicy>,
    /// Its worker processes; none if it runs in the serving process.
    pub(crate) isolation: Option<Plan>,
    /// How it takes the place of the build before it.
    pub(crate) swap: Swap,
    /// Its number in the crash record.
    pub(crate) number: u32,
    /// Keeps that number from becoming another function's.
    pub(crate) _entry: Entry,
    /// Why it is not called, if it has crashed the serving process too often.
    pub(crate) quarantined: Option<String>,
    pub(crate) variables: Variables,
    pub(crate) data_dir: PathBuf,
    /// The files that were deployed beside its library.
    pub(crate) assets: Option<Assets>,
    /// The private copy of the library.
    pub(crate) library: PathBuf,
    pub(crate) calls: Calls,
    pub(crate) stats: Arc<Stats>,
    /// The statistics of each pattern of `routes`.
    pub(crate) route_stats: Vec<Arc<RouteStats>>,
    pub(crate) tag: Tag,
    /// Has the cache evict the function when neither catalogs nor calls hold it any more.
    pub(crate) _retirement: Retirement,
}

impl Function {
    /// `id@version`.
    pub(crate) fn name(&self) -> &str {
        &self.key.name
    }

    /// Whether serving `other` instead would make no difference.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key
            && self.limits == other.limits
            && self.cors == other.cors
            && self.swap == other.swap
            && self.quarantined == other.quarantined
            && self.routes.routes().eq(other.routes.routes())
            && self.routes.upgrade_routes() == other.routes.upgrade_routes()
    }

    /// Whether its code has to be brought up before it can serve instead of `before`.
    pub(crate) fn needs_activation(&self, before: &Self) -> bool {
        self.key != before.key && self.quarantined.is_none()
    }
}
