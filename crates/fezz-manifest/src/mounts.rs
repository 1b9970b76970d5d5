//! `mounts.json`: functions on host names and path prefixes of their own.

mod place;
mod table;

use std::collections::HashMap;

use crate::aliases;
use crate::check::is_id;
use crate::fields::{object, string};
use crate::json::{self, Json};
use crate::problem::{At, Problem, Problems};
use crate::suggest::nearest;
use crate::version::Version;

pub(crate) use place::PATTERN as PLACE_PATTERN;
pub use place::{MountHost, Place};
pub use table::{MountMatch, MountTable};

/// The first segment of the paths that lead to all functions by their names, on every host: no mount covers them.
pub(crate) const RESERVED: &str = "/rpc";

/// A function's name as a mount and a request may write it: `todos`, `todos@1`, `todos@1.4`, `todos@1.4.0`, `todos@live`.
pub(crate) const FUNCTION_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,62}(@([a-z][a-z0-9_-]{0,62}\
    |(0|[1-9][0-9]*)(\\.(0|[1-9][0-9]*)(\\.(0|[1-9][0-9]*)\
    (-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?)?)?))?$";

const NOT_A_FUNCTION: &str = "is not the name of a function; write it as behind /rpc/: \
    `todos`, `todos@1`, `todos@1.4.0`, or `todos@live` for an alias";

/// All mounts, in order of precedence: an exact host name before a wildcard, a longer wildcard before a shorter one, any
/// host before none, and a longer prefix before a shorter one.
///
/// ```
/// use fezz_manifest::{MountTable, Mounts};
///
/// let mounts = Mounts::parse(br#"{ "todos.example.com": "todos@live", "/shop": "shop" }"#)?;
/// let table = MountTable::new(&mounts);
///
/// let found = table.find(Some(b"Todos.Example.com:3000"), "/login").expect("a mount");
/// assert_eq!(mounts.iter().nth(found.index).expect("it").function, "todos@live");
/// let found = table.find(Some(b"127.0.0.1:3000"), "/shop/cart").expect("a mount");
/// assert_eq!(&"/shop/cart"[found.prefix_len..], "/cart");
/// # Ok::<(), fezz_manifest::Problems>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mounts(Vec<Mount>);

/// A place, and the function that is served there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The host name and the path prefix.
    pub place: Place,
    /// The function's name, as behind `/rpc/`: an id alone, or with a version, a part of one, or an alias.
    pub function: String,
    /// The key as it stands in the file.
    key: String,
}

impl Mounts {
    /// Parses a `mounts.json`; the error holds all of its problems.
    pub fn parse(text: &[u8]) -> Result<Self, Problems> {
        let json = json::read(text, "a JSON object, which is {} where there are no mounts")?;
        let mut problems = Vec::new();
        let mut mounts = check(&json, &mut problems);
        Problems::check(problems)?;
        mounts.sort_by(|a, b| a.place.cmp(&b.place));
        Ok(Self(mounts))
    }

    /// Every mount, in order of precedence.
    pub fn iter(&self) -> std::slice::Iter<'_, Mount> {
        self.0.iter()
    }

    /// One problem for each mount whose function is not among these names: those that requests may write behind `/rpc/`.
    pub fn check<'n>(&self, names: impl Fn() -> Vec<&'n str>, exists: impl Fn(&str) -> bool) -> Vec<Problem> {
        let missing = self.iter().filter(|mount| !exists(&mount.function));
        missing
            .map(|Mount { function, key, .. }| {
                let hint = nearest(function, &names());
                let hint = hint.map_or_else(String::new, |name| format!("did you mean `{name}`? Else "));
                At::root().key(key).problem(format!(
                    "there is no function or alias `{function}`; {hint}deploy it first, or take it out"
                ))
            })
            .collect()
    }
}

impl<'m> IntoIterator for &'m Mounts {
    type Item = &'m Mount;
    type IntoIter = std::slice::Iter<'m, Mount>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

fn check(json: &Json, problems: &mut Vec<Problem>) -> Vec<Mount> {
    let root = At::root();
    let mut mounts = Vec::new();
    let mut taken: HashMap<Place, &str> = HashMap::new();
    for (key, value) in object(json, &root, problems).unwrap_or_default() {
        let at = root.key(key);
        if key == "$schema" {
            string(value, &at, problems);
            continue;
        }
        let place = Place::parse(key)
            .map_err(|messages| problems.extend(messages.into_iter().map(|message| at.problem(message))));
        let function = function(value, &at, problems);
        let Ok(place) = place else { continue };
        match taken.get(&place) {
            // A repeated key is a problem already.
            Some(other) if *other == key => {}
            Some(other) => {
                problems.push(at.problem(format!("is the same place as {other:?}; keep one of them")));
            }
            None => _ = taken.insert(place.clone(), key),
        }
        mounts.extend(function.map(|function| Mount { place, function, key: key.clone() }));
    }
    mounts
}

/// The name of a function.
fn function(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<String> {
    if let Json::Object(_) = json {
        problems.push(at.problem(
            "must be the name of a function, not an object; a traffic split is an alias of aliases.json, \
             named here as in \"todos@live\"",
        ));
        return None;
    }
    let text = string(json, at, problems)?;
    if is_function(text) {
        return Some(text.to_owned());
    }
    let path = text.strip_prefix("/rpc/").or_else(|| text.strip_prefix("rpc/"));
    problems.push(at.problem(match path.filter(|name| is_function(name)) {
        Some(name) => format!("{text:?} is a path; write the function alone: \"{name}\""),
        None => format!("{text:?} {NOT_A_FUNCTION}"),
    }));
    None
}

fn is_function(text: &str) -> bool {
    let Some((id, version)) = text.split_once('@') else { return is_id(text) };
    is_id(id) && (is_version(version) || aliases::is_name(version))
}

/// A version, or its first number or two.
fn is_version(text: &str) -> bool {
    let is_number = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text == "0" || !text.starts_with('0'))
    };
    text.parse::<Version>().is_ok() || (text.split('.').count() <= 2 && text.split('.').all(is_number))
}
