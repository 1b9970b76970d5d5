//! The differences that are known, each with its reason: `known.json`.

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::compare::Difference;
use crate::server::Mode;

/// Differences of one kind. `*` stands for any text.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The application's name.
    app: String,
    /// The step, as the report names it.
    step: String,
    /// What differs.
    field: String,
    /// The only way of running it in which it differs, if it is one.
    mode: Option<String>,
    /// Whether it differs in some runs only.
    #[serde(default)]
    by_chance: bool,
    /// Why it differs.
    #[serde(rename = "reason")]
    _reason: String,
}

/// All of them, and which were met.
#[derive(Debug)]
pub(crate) struct Known {
    entries: Vec<Entry>,
    met: BTreeSet<usize>,
}

impl Known {
    /// Reads the list.
    pub(crate) fn read() -> Result<Self, serde_json::Error> {
        Ok(Self { entries: serde_json::from_str(include_str!("../known.json"))?, met: BTreeSet::new() })
    }

    /// Whether this difference is in the list.
    pub(crate) fn has(&mut self, app: &str, step: &str, mode: Mode, difference: &Difference) -> bool {
        let matching = |entry: &Entry| {
            entry.mode.as_deref().is_none_or(|only| only == mode.name())
                && matches(&entry.app, app)
                && matches(&entry.step, step)
                && matches(&entry.field, &difference.field)
        };
        let found = self.entries.iter().position(matching);
        self.met.extend(found);
        found.is_some()
    }

    /// Those that were not met: they have been repaired, or never were.
    pub(crate) fn unmet(&self) -> Vec<String> {
        let unmet =
            self.entries.iter().enumerate().filter(|(at, entry)| !entry.by_chance && !self.met.contains(at));
        unmet.map(|(_, entry)| format!("{} {} {}", entry.app, entry.step, entry.field)).collect()
    }
}

/// Whether a text matches a pattern in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let mut parts: Vec<_> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(last)
}
