//! Which functions there are: folders become deployments, and deployments an immutable snapshot that requests read.
//!
//! [`Watcher`] finds out that something has changed, [`Registry`] asks [`Deployer`] what has become of it and publishes
//! the next [`Catalog`].

mod aliases;
mod check;
mod deploy;
mod dropped;
mod fingerprint;
mod probe;
mod registry;
mod snapshot;
mod store;
mod turns;
mod variables;
mod watch;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fezz_manifest::{RouteTable, Version};

pub(crate) use deploy::Deployer;
pub(crate) use probe::own_program;
pub use probe::run as probe;
pub(crate) use registry::{Deployment, Registry, Replaced};
pub(crate) use snapshot::Catalog;
pub(crate) use variables::Variables;
pub(crate) use watch::{Timing, Watcher};

use crate::invoke::Gate;
use crate::metrics::{RouteStats, Stats};
use crate::pool::Plan;
use crate::resolve::Slot;

/// SHA-256 of a library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) const fn bytes(self) -> [u8; 32] {
        self.0
    }

    /// Its first 12 hex digits, which tell builds apart well enough for people.
    pub(crate) fn short(self) -> String {
        let mut text = self.to_string();
        text.truncate(12);
        text
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What tells one piece of code from another in every layer: id, version, the library's digest, and the settings that
/// its statics may have been made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionKey {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) digest: Digest,
    /// Fingerprint of its variables, and of its isolation.
    pub(crate) settings: u64,
    /// `id@version`, as it stands in logs.
    pub(crate) name: String,
}

impl Hash for FunctionKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // A digest is as good a hash as there is; functions that share a library are told apart by `eq`.
        state.write(&self.digest.0[..8]);
    }
}

/// What a function may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) max_body_bytes: u64,
    pub(crate) max_concurrency: usize,
}

/// One function that is served.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) key: Arc<FunctionKey>,
    pub(crate) version: Version,
    pub(crate) routes: RouteTable,
    pub(crate) limits: Limits,
    /// How it is isolated; none where it runs in this process.
    pub(crate) isolation: Option<Plan>,
    /// By which the supervisor knows it.
    pub(crate) number: u32,
    /// Why it is not to be called, if it is not: it has crashed the host too often.
    pub(crate) quarantined: Option<String>,
    pub(crate) variables: Variables,
    pub(crate) data_dir: PathBuf,
    /// The private copy that is loaded.
    pub(crate) library: PathBuf,
    pub(crate) gate: Gate,
    /// Where it is found without asking the cache.
    pub(crate) slot: Slot,
    pub(crate) stats: Arc<Stats>,
    /// What is counted for each pattern of `routes`.
    pub(crate) route_stats: Vec<Arc<RouteStats>>,
    /// The header values that name this function in its answers.
    pub(crate) tag: Tag,
}

/// A function's name and digest as header values, made once.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) name: http::HeaderValue,
    pub(crate) digest: http::HeaderValue,
}

impl Tag {
    fn of(key: &FunctionKey) -> Self {
        // Ids and versions are of ASCII letters, digits and a few signs; digests of hex digits.
        let value =
            |text: &str| http::HeaderValue::from_str(text).unwrap_or(http::HeaderValue::from_static("?"));
        Self { name: value(&key.name), digest: value(&key.digest.short()) }
    }
}

impl Function {
    /// `id@version`.
    pub(crate) fn name(&self) -> &str {
        &self.key.name
    }

    /// Whether serving `other` instead would make no difference.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.key == other.key && self.limits == other.limits && self.routes.routes().eq(other.routes.routes())
    }
}
