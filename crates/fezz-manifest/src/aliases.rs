//! `aliases.json`: aliases for versions, with a weighted traffic split between them.

use std::collections::BTreeMap;

use crate::check::{ID_RULE, is_id};
use crate::fields::{object, string, whole};
use crate::json::{self, Json};
use crate::problem::{At, Problem, Problems};
use crate::version::{Version, VersionError};

/// The largest weight of a version in an alias.
pub const MAX_WEIGHT: u32 = 1_000_000;

pub(crate) const NAME_PATTERN: &str = "^[a-z][a-z0-9_-]{0,62}$";

/// The aliases of all functions: function id, alias, shares.
///
/// An alias is a name that a request uses in place of a version. It stands for one version or several:
///
/// ```
/// use fezz_manifest::Aliases;
///
/// let aliases = Aliases::parse(br#"{ "todos": { "live": { "1.2.0": 90, "1.3.0": 10 } } }"#)?;
/// let (id, alias, shares) = aliases.iter().next().expect("an alias");
/// assert_eq!((id, alias), ("todos", "live"));
/// assert_eq!(shares[1].version.to_string(), "1.3.0");
/// assert_eq!(shares[1].weight, 10);
/// # Ok::<(), fezz_manifest::Problems>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Aliases(BTreeMap<String, Named>);

/// The aliases of one function.
type Named = BTreeMap<String, Vec<Share>>;

/// One version of an alias, and its weight.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Share {
    /// The version to call.
    pub version: Version,
    /// Its share of the calls, relative to the other weights of the alias: 90 and 10 are the same as 9 and 1. At most
    /// [`MAX_WEIGHT`], and above 0 in at least one version of an alias. Sum weights as `u64`: a large file can overflow
    /// `u32`.
    pub weight: u32,
}

impl Aliases {
    /// Parses an `aliases.json`; the error holds all of its problems.
    pub fn parse(text: &[u8]) -> Result<Self, Problems> {
        let json = json::read(text, "a JSON object, which is {} where there are no aliases")?;
        let mut problems = Vec::new();
        let aliases = check(&json, &mut problems);
        Problems::check(problems)?;
        Ok(aliases)
    }

    /// Every alias with its id and its shares, sorted by id, alias and version.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, &[Share])> {
        self.0.iter().flat_map(|(id, named)| {
            named.iter().map(|(alias, shares)| (id.as_str(), alias.as_str(), shares.as_slice()))
        })
    }

    /// One problem for each version that does not exist, even with weight 0.
    pub fn check(&self, exists: impl Fn(&str, &Version) -> bool) -> Vec<Problem> {
        let versions = self
            .iter()
            .flat_map(|(id, alias, shares)| shares.iter().map(move |share| (id, alias, &share.version)));
        let missing = versions.filter(|(id, _, version)| !exists(id, version));
        missing
            .map(|(id, alias, version)| {
                At::root().key(id).key(alias).key(&version.to_string()).problem(format!(
                    "there is no function `{id}@{version}`; deploy it first, or take it out"
                ))
            })
            .collect()
    }
}

fn check(json: &Json, problems: &mut Vec<Problem>) -> Aliases {
    let root = At::root();
    let mut aliases = BTreeMap::new();
    for (id, value) in object(json, &root, problems).unwrap_or_default() {
        let at = root.key(id);
        if id == "$schema" {
            string(value, &at, problems);
            continue;
        }
        if !is_id(id) {
            problems.push(at.problem(format!("is not the id of a function; {ID_RULE}")));
        }
        aliases.insert(id.clone(), named(value, &at, problems));
    }
    Aliases(aliases)
}

/// The aliases of one function.
fn named(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Named {
    let mut named = Named::new();
    for (alias, value) in object(json, at, problems).unwrap_or_default() {
        let at = at.key(alias);
        if let Some(message) = name_message(alias) {
            problems.push(at.problem(message));
        }
        named.insert(alias.clone(), shares(value, &at, problems));
    }
    named
}

/// Whether a text can be the name of an alias.
pub(crate) fn is_name(text: &str) -> bool {
    name_message(text).is_none()
}

/// The problem with an alias's name, if any. A letter comes first, so that it is not mistaken for a version.
fn name_message(alias: &str) -> Option<&'static str> {
    let inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    let first = alias.starts_with(|c: char| c.is_ascii_lowercase());
    if alias == "latest" {
        Some("is a version, and cannot be an alias too; choose another name, such as `live`")
    } else if !(first && alias.len() <= 63 && alias.bytes().all(inner)) {
        Some("is not a name of an alias; use 1 to 63 of `a-z`, `0-9`, `_` and `-`, with a letter first")
    } else {
        None
    }
}

/// The versions of one alias.
fn shares(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Vec<Share> {
    if let Json::String(text) = json
        && let Ok(version) = text.parse::<Version>()
    {
        problems.push(at.problem(format!("must be an object, not a string; write {{\"{version}\": 1}}")));
        return Vec::new();
    }
    let Some(entries) = object(json, at, problems) else { return Vec::new() };
    let before = problems.len();
    let checked = entries.iter().map(|(version, weight)| share(version, weight, &at.key(version), problems));
    let mut shares: Vec<_> = checked.collect::<Vec<_>>().into_iter().flatten().collect();
    if entries.is_empty() {
        problems.push(at.problem("names no version; add one, as in {\"1.2.0\": 1}, or remove the alias"));
    } else if problems.len() == before && shares.iter().all(|share| share.weight == 0) {
        problems.push(at.problem("has no weight above 0, so that no version would be called; raise one"));
    }
    shares.sort_by(|a, b| a.version.cmp(&b.version));
    shares
}

fn share(version: &str, weight: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Share> {
    let version = version.parse().map_err(|error: VersionError| problems.push(at.problem(error.to_string())));
    let weight = whole(weight, at, 0..=MAX_WEIGHT.into(), problems);
    Some(Share { version: version.ok()?, weight: u32::try_from(weight?).ok()? })
}
