//! The keys `env` and `secrets`: names and values of variables.

use std::collections::{BTreeMap, HashSet};

use crate::fields::{object, string};
use crate::json::Json;
use crate::problem::{At, Problem};

/// The most secrets of a function.
pub const MAX_SECRETS: usize = 256;

pub(crate) const NAME_PATTERN: &str = "^[A-Za-z_][A-Za-z0-9_]*$";
pub(crate) const VALUE_PATTERN: &str = r"^[^\u0000]*$";
pub(crate) const NAME_RULE: &str =
    "is not a name of a variable; use letters, digits and `_`, with no digit first";

/// Whether a text is a valid name of a variable.
pub(crate) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Checks `env`.
pub(crate) fn env(json: &Json, at: &At, problems: &mut Vec<Problem>) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    for (key, value) in object(json, at, problems).unwrap_or_default() {
        let at = at.key(key);
        if !is_name(key) {
            problems.push(at.problem(NAME_RULE));
        }
        let Some(text) = string(value, &at, problems) else {
            continue;
        };
        if text.contains('\0') {
            problems.push(at.problem("holds a NUL character; remove it"));
        }
        env.insert(key.clone(), text.to_owned());
    }
    env
}

/// Checks `secrets`, which must not be in `env`.
pub(crate) fn secrets(
    json: &Json,
    at: &At,
    env: &BTreeMap<String, String>,
    problems: &mut Vec<Problem>,
) -> Vec<String> {
    let Json::Array(items) = json else {
        let hint = "write [\"API_KEY\"]";
        problems.push(at.problem(format!("must be a list of names, not {}; {hint}", json.kind())));
        return Vec::new();
    };
    if items.len() > MAX_SECRETS {
        let count = items.len();
        problems.push(at.problem(format!("has {count} names; at most {MAX_SECRETS} are allowed")));
        return Vec::new();
    }
    let mut seen = HashSet::new();
    let mut secrets = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let at = at.index(i);
        let Some(name) = string(item, &at, problems) else { continue };
        if let Some(message) = secret_message(name, seen.insert(name), env) {
            problems.push(at.problem(message));
        }
        secrets.push(name.to_owned());
    }
    secrets
}

/// The problem with one secret, if any. An invalid name is not shown: it may be `API_KEY=` and the secret itself.
fn secret_message(name: &str, first: bool, env: &BTreeMap<String, String>) -> Option<String> {
    if !is_name(name) {
        Some(NAME_RULE.to_owned())
    } else if !first {
        Some(format!("`{name}` is in the list already; remove one of them"))
    } else if env.contains_key(name) {
        Some(format!("`{name}` is set in `env` too; remove it here or there"))
    } else {
        None
    }
}
