//! Mounts as requests find them: the place of a request, and the name of the function that is served there.

use fezz_manifest::{Mount, MountTable, Mounts};
use http::HeaderValue;

/// The table of the mounts that are in force.
#[derive(Debug, Default)]
pub(super) struct MountedFunctions {
    table: MountTable,
    /// By the positions of the table.
    functions: Vec<(String, Option<HeaderValue>)>,
}

/// A mount that covers a request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mounted<'m> {
    /// The function's name, as behind `/rpc/`.
    pub(crate) function: &'m str,
    /// The prefix of the path, if it has one, which the function does not see.
    pub(crate) prefix: Option<&'m HeaderValue>,
    /// Where in the request's path the function's own path begins.
    pub(crate) path_start: usize,
}

impl MountedFunctions {
    pub(super) fn new(mounts: &Mounts) -> Self {
        let function = |mount: &Mount| {
            let prefix = Some(&mount.place.prefix).filter(|prefix| !prefix.is_empty());
            // A prefix is visible ASCII.
            (mount.function.clone(), prefix.and_then(|prefix| HeaderValue::from_str(prefix).ok()))
        };
        Self { table: MountTable::new(mounts), functions: mounts.iter().map(function).collect() }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// The mount for this `Host` header and path.
    pub(super) fn find(&self, host: Option<&[u8]>, path: &str) -> Option<Mounted<'_>> {
        let found = self.table.find(host, path)?;
        let (function, prefix) = self.functions.get(found.index)?;
        Some(Mounted { function, prefix: prefix.as_ref(), path_start: found.prefix_len })
    }
}
