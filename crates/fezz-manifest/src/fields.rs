//! Validation of a JSON object's keys (unknown, missing, duplicate) and of simple values.

use std::collections::HashSet;
use std::ops::RangeInclusive;

use crate::json::Json;
use crate::problem::{At, Problem};
use crate::suggest::nearest_key;

/// A known key of an object.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// For a required key, an example value as JSON.
    pub(crate) required: Option<&'static str>,
}

impl Key {
    pub(crate) const fn required(name: &'static str, example: &'static str) -> Self {
        Self { name, required: Some(example) }
    }

    pub(crate) const fn optional(name: &'static str) -> Self {
        Self { name, required: None }
    }
}

/// An object whose keys have been checked; its values have not.
pub(crate) struct Fields<'j> {
    at: At,
    entries: &'j [(String, Json)],
}

impl<'j> Fields<'j> {
    /// Checks the keys: all known, none duplicate, no required one missing.
    pub(crate) fn open(json: &'j Json, at: &At, keys: &[Key], problems: &mut Vec<Problem>) -> Option<Self> {
        let entries = object(json, at, problems)?;
        let names: Vec<_> = keys.iter().map(|key| key.name).collect();
        for (name, _) in entries.iter().filter(|(name, _)| !names.contains(&name.as_str())) {
            problems.push(at.key(name).problem(unknown(name, &names)));
        }
        for key in keys.iter().filter(|key| !entries.iter().any(|(name, _)| name == key.name)) {
            let Some(example) = key.required else { continue };
            problems.push(
                at.key(key.name).problem(format!("missing; add it, as in \"{}\": {example}", key.name)),
            );
        }
        Some(Self { at: at.clone(), entries })
    }

    /// The value of a key, if present; of a duplicate key, the first.
    pub(crate) fn get(&self, name: &str) -> Option<(At, &'j Json)> {
        let (_, value) = self.entries.iter().find(|(entry, _)| entry == name)?;
        Some((self.at.key(name), value))
    }
}

/// The entries of an object. Duplicate keys are problems, since JSON parsers disagree on which one to use.
pub(crate) fn object<'j>(
    json: &'j Json,
    at: &At,
    problems: &mut Vec<Problem>,
) -> Option<&'j [(String, Json)]> {
    let Json::Object(entries) = json else {
        problems.push(at.problem(format!("must be an object {{ … }}, not {}", json.kind())));
        return None;
    };
    let mut seen = HashSet::new();
    for (name, _) in entries.iter().filter(|(name, _)| !seen.insert(name)) {
        problems.push(at.key(name).problem("this key is in the object already; keep one of them"));
    }
    Some(entries)
}

/// A string, or a problem.
pub(crate) fn string<'j>(json: &'j Json, at: &At, problems: &mut Vec<Problem>) -> Option<&'j str> {
    if let Json::String(text) = json {
        return Some(text);
    }
    problems.push(at.problem(match json {
        Json::Whole(number) => format!("must be a string; write it as \"{number}\""),
        Json::Number(number) => format!("must be a string; write it as \"{number}\""),
        Json::Bool(value) => format!("must be a string; write it as \"{value}\""),
        Json::Null => "must be a string, not null; give it a value or remove the key".to_owned(),
        other => format!("must be a string, not {}", other.kind()),
    }));
    None
}

/// `true` or `false`, or a problem.
pub(crate) fn boolean(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<bool> {
    if let Json::Bool(value) = json {
        return Some(*value);
    }
    problems.push(at.problem(format!("must be true or false, not {}", json.kind())));
    None
}

/// A whole number in a range, or a problem.
pub(crate) fn whole(
    json: &Json,
    at: &At,
    range: RangeInclusive<u64>,
    problems: &mut Vec<Problem>,
) -> Option<u64> {
    let found = match json {
        Json::Whole(number) if range.contains(number) => return Some(*number),
        Json::Whole(number) => number.to_string(),
        Json::Number(number) => number.clone(),
        other => other.kind().to_owned(),
    };
    let (low, high) = range.into_inner();
    problems.push(at.problem(format!("must be a whole number from {low} to {high}, not {found}")));
    None
}

fn unknown(name: &str, known: &[&str]) -> String {
    match nearest_key(name, known) {
        Some(key) => format!("unknown key; did you mean `{key}`?"),
        None => format!("unknown key; remove it, the keys here are {}", known.join(", ")),
    }
}
