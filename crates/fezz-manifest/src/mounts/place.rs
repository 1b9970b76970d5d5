//! [`Place`]: where a function is mounted, and the rules for writing it.

use std::cmp::{Ordering, Reverse};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use idna::AsciiDenyList;
use idna::uts46::{DnsLength, Hyphens, Uts46};

use super::RESERVED;
use crate::path;

/// The schema's part of the rules: a host name, or a prefix, or both.
pub(crate) const PATTERN: &str = r"^((\*\.)?[^\s/?#:@\[\]*%]+|\[[0-9A-Fa-f:.]+\])?(/[^\s?#]*)?$";

/// Longest host name, in bytes.
pub(crate) const MAX_HOST: usize = 253;

/// A host name, or a pattern of host names, and a path prefix.
///
/// Two places are equal if they stand for the same requests: host names are in small letters, without a trailing dot, and
/// in punycode; a prefix has no trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    /// The host names.
    pub host: MountHost,
    /// The prefix, which begins with `/`, or nothing.
    pub prefix: String,
}

/// For which host names a mount holds, whatever their port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MountHost {
    /// This one.
    Exact(String),
    /// All that end in a dot and this one: `*.example.com` stands for `a.example.com` and `b.a.example.com`, and not for
    /// `example.com`.
    Below(String),
    /// All.
    Any,
}

impl MountHost {
    /// The kind, and the length of the name: the smaller one takes precedence.
    fn rank(&self) -> (u8, Reverse<usize>, &str) {
        match self {
            Self::Exact(name) => (0, Reverse(0), name),
            Self::Below(name) => (1, Reverse(name.len()), name),
            Self::Any => (2, Reverse(0), ""),
        }
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let rank = |place: &'_ Self| Reverse(place.prefix.len());
        let by_host = self.host.rank().cmp(&other.host.rank());
        by_host.then_with(|| rank(self).cmp(&rank(other))).then_with(|| self.prefix.cmp(&other.prefix))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            MountHost::Exact(name) => f.write_str(name)?,
            MountHost::Below(name) => write!(f, "*.{name}")?,
            MountHost::Any if self.prefix.is_empty() => f.write_str("/")?,
            MountHost::Any => {}
        }
        f.write_str(&self.prefix)
    }
}

impl Place {
    /// Parses a key of `mounts.json`; each problem is one message.
    pub(super) fn parse(key: &str) -> Result<Self, Vec<String>> {
        if key.is_empty() {
            let hint =
                "write a host name, a path prefix such as `/shop`, or both; `/` is every path of every host";
            return Err(vec![format!("is no place; {hint}")]);
        }
        for scheme in ["https://", "http://"] {
            if key.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
                return Err(vec![format!("leave out the `{scheme}`; write `{}`", &key[scheme.len()..])]);
            }
        }
        let (host, prefix) = key.split_at(key.find('/').unwrap_or(key.len()));
        match (parse_host(host), parse_prefix(prefix)) {
            (Ok(host), Ok(prefix)) => Ok(Self { host, prefix }),
            (host, prefix) => {
                let mut messages = prefix.err().unwrap_or_default();
                messages.extend(host.err());
                Err(messages)
            }
        }
    }
}

/// The syntax is that of the literal paths of routes.
fn parse_prefix(text: &str) -> Result<String, Vec<String>> {
    let prefix = text.strip_suffix('/').unwrap_or(text);
    if prefix.is_empty() {
        return Ok(String::new());
    }
    if prefix.contains(['{', '}']) {
        return Err(vec!["has a `{` or `}`; a prefix has no parameters, write it literally".to_owned()]);
    }
    path::check(text)?;
    let below = prefix.strip_prefix(RESERVED);
    if below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
        return Err(vec![format!(
            "is below `{RESERVED}`, where all functions are by their names, on every host; choose another prefix"
        )]);
    }
    Ok(prefix.to_owned())
}

fn parse_host(text: &str) -> Result<MountHost, String> {
    if text.is_empty() {
        return Ok(MountHost::Any);
    }
    if text == "*" {
        return Err("`*` alone is no host name; write `/` for every host".to_owned());
    }
    if text.starts_with('[') {
        return ipv6(text);
    }
    if let Some((name, _)) = text.split_once(':') {
        return Err(format!("has a port, and a mount holds on each one; write `{name}`"));
    }
    let (is_wildcard, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
    if name.contains('*') {
        return Err("has a `*` that is not the first label alone; write it as in `*.example.com`".to_owned());
    }
    let name = canonical(name).ok_or_else(|| {
        format!(
            "`{text}` is not a host name; write labels of letters, digits and `-` with dots between them, \
             at most 63 bytes each and {MAX_HOST} together"
        )
    })?;
    // What ends in a number is an address to every client.
    let is_number = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    match (is_number, is_wildcard) {
        (true, true) => Err(format!("`{text}` is a wildcard over addresses; write each address")),
        (true, false) if name.parse::<Ipv4Addr>().is_err() => {
            Err(format!("`{text}` ends in a number, and is no IPv4 address; correct it"))
        }
        (_, true) => Ok(MountHost::Below(name)),
        (_, false) => Ok(MountHost::Exact(name)),
    }
}

fn ipv6(text: &str) -> Result<MountHost, String> {
    let (literal, rest) = text[1..].split_once(']').unwrap_or((&text[1..], "?"));
    if rest.starts_with(':') {
        return Err(format!("has a port, and a mount holds on each one; write `[{literal}]`"));
    }
    match literal.parse::<Ipv6Addr>() {
        Ok(address) if rest.is_empty() => Ok(MountHost::Exact(format!("[{address}]"))),
        _ => Err(format!("`{text}` is not an IPv6 address in brackets; write one, such as `[::1]`")),
    }
}

/// In small letters, without the dot at the end, and in punycode where it is not ASCII.
fn canonical(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let ascii =
        Uts46::new().to_ascii(name.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify).ok()?;
    // Underscores are in names that only a private DNS knows.
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    ascii.bytes().all(is_plain).then(|| ascii.into_owned())
}
