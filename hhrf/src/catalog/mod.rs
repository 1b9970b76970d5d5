//! Which functions there are: an immutable snapshot that requests read and the scanner replaces.

mod check;
mod probe;
mod scan;
mod store;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use fezz_manifest::RouteTable;

pub use probe::run as probe;
pub(crate) use scan::Scanner;

use crate::invoke::Gate;

/// SHA-256 of a library.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digest([u8; 32]);

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

/// What tells one piece of code from another in every layer: id, version and the library's digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionKey {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) digest: Digest,
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
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    pub(crate) timeout: Duration,
    pub(crate) max_body_bytes: u64,
    pub(crate) max_concurrency: usize,
}

/// One function that is served.
#[derive(Debug)]
pub(crate) struct Function {
    pub(crate) key: Arc<FunctionKey>,
    pub(crate) routes: RouteTable,
    pub(crate) limits: Limits,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) data_dir: PathBuf,
    /// The private copy that is loaded.
    pub(crate) library: PathBuf,
    pub(crate) gate: Gate,
}

impl Function {
    /// `id@version`.
    pub(crate) fn name(&self) -> &str {
        &self.key.name
    }
}

/// All functions, by the names that requests use.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    by_name: HashMap<String, Arc<Function>>,
    len: usize,
}

impl Catalog {
    /// Puts the functions under `id@version`, and under `id` alone where the version is `latest`.
    fn new(functions: Vec<Function>) -> Self {
        let mut by_name = HashMap::new();
        let len = functions.len();
        for function in functions.into_iter().map(Arc::new) {
            if function.key.version == "latest" {
                by_name.insert(function.key.id.clone(), Arc::clone(&function));
            }
            by_name.insert(function.key.name.clone(), function);
        }
        Self { by_name, len }
    }

    /// The function that a request names, as `todos@1.2.0`, or `todos` for `todos@latest`.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Function>> {
        self.by_name.get(name)
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}
