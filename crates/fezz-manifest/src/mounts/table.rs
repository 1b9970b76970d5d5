//! [`MountTable`]: built once from the mounts, then used for every request that is not below `/rpc`.

use std::collections::HashMap;
use std::io::Write;
use std::net::Ipv6Addr;

use super::place::{MAX_HOST, MountHost};
use super::{Mounts, RESERVED};

/// Finds the mount of a request. A look-up allocates nothing.
///
/// The host name is looked up as it is, then as wildcards from the longest to the shortest, then come the mounts without
/// a host name. In each of these the longest prefix wins, on whole segments; where none fits, the next one is tried.
#[derive(Debug, Clone, Default)]
pub struct MountTable {
    exact: HashMap<String, Prefixes>,
    below: HashMap<String, Prefixes>,
    any: Prefixes,
}

/// A mount that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MountMatch {
    /// Its position among the [`Mounts`].
    pub index: usize,
    /// How much of the path is the mount's; the function's own path comes behind it.
    pub prefix_len: usize,
}

/// The prefixes of a host name, with the positions of their mounts.
#[derive(Debug, Clone, Default)]
struct Prefixes {
    by_prefix: HashMap<String, usize>,
    longest: usize,
}

impl MountTable {
    /// Builds the table.
    pub fn new(mounts: &Mounts) -> Self {
        let mut table = Self::default();
        for (index, mount) in mounts.iter().enumerate() {
            let prefixes = match &mount.place.host {
                MountHost::Exact(name) => table.exact.entry(name.clone()).or_default(),
                MountHost::Below(name) => table.below.entry(name.clone()).or_default(),
                MountHost::Any => &mut table.any,
            };
            prefixes.longest = prefixes.longest.max(mount.place.prefix.len());
            prefixes.by_prefix.insert(mount.place.prefix.clone(), index);
        }
        table
    }

    /// The mount of a request with this `Host` header and this path, as it was sent.
    pub fn find(&self, host: Option<&[u8]>, path: &str) -> Option<MountMatch> {
        if !path.starts_with('/') || is_reserved(path) {
            return None;
        }
        self.of_host(host, path).or_else(|| self.any.find(path))
    }

    fn of_host(&self, host: Option<&[u8]>, path: &str) -> Option<MountMatch> {
        if self.exact.is_empty() && self.below.is_empty() {
            return None;
        }
        let mut buffer = [0; MAX_HOST];
        let name = host_name(host?, &mut buffer)?;
        let exact = self.exact.get(name).and_then(|prefixes| prefixes.find(path));
        if exact.is_some() || self.below.is_empty() {
            return exact;
        }
        let mut dots = name.match_indices('.');
        dots.find_map(|(dot, _)| self.below.get(&name[dot + 1..])?.find(path))
    }
}

impl Prefixes {
    /// The longest of them that the path begins with, on whole segments.
    fn find(&self, path: &str) -> Option<MountMatch> {
        if self.by_prefix.is_empty() {
            return None;
        }
        let mut end = match path.as_bytes().get(self.longest) {
            None => path.len(),
            Some(_) => last_slash(&path.as_bytes()[..=self.longest])?,
        };
        loop {
            if let Some(&index) = self.by_prefix.get(&path[..end]) {
                return Some(MountMatch { index, prefix_len: end });
            }
            end = last_slash(&path.as_bytes()[..end])?;
        }
    }
}

fn last_slash(path: &[u8]) -> Option<usize> {
    path.iter().rposition(|byte| *byte == b'/')
}

/// Whether functions are called by their names there, or nothing is served.
fn is_reserved(path: &str) -> bool {
    path.strip_prefix(RESERVED).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The name in a `Host` header: without its port and the dot at its end, in small letters.
fn host_name<'b>(host: &'b [u8], buffer: &'b mut [u8; MAX_HOST]) -> Option<&'b str> {
    let host = str::from_utf8(host).ok()?;
    if let Some(literal) = host.strip_prefix('[') {
        let address: Ipv6Addr = literal.split_once(']')?.0.parse().ok()?;
        let mut rest = &mut buffer[..];
        write!(rest, "[{address}]").ok()?;
        let length = MAX_HOST - rest.len();
        return str::from_utf8(&buffer[..length]).ok();
    }
    let name = host.split_once(':').map_or(host, |(name, _)| name);
    let name = name.strip_suffix('.').unwrap_or(name);
    if !name.bytes().any(|b| b.is_ascii_uppercase()) {
        return Some(name);
    }
    let small = buffer.get_mut(..name.len())?;
    small.copy_from_slice(name.as_bytes());
    small.make_ascii_lowercase();
    str::from_utf8(small).ok()
}
