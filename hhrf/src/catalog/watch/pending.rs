//! Folders in which something happened, until they have settled.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

/// A folder that changes continually is deployed after this many settle times.
const MAX_SETTLES: u32 = 20;

/// What an event concerns.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Concerned {
    /// A function's folder, or a file beside them, such as `aliases.json`.
    Name(String),
    /// All functions: the secrets file, or a link that they may be reached by.
    All,
}

/// What has changed, and since when.
#[derive(Debug, Default)]
pub(super) struct Pending(HashMap<Concerned, Since>);

#[derive(Clone, Copy, Debug)]
struct Since {
    first: Instant,
    last: Instant,
}

impl Since {
    /// When it is due for a scan.
    fn due(self, settle: Duration) -> Instant {
        (self.last + settle).min(self.first + settle * MAX_SETTLES)
    }
}

impl Pending {
    /// Notes a change; whether it is the first one since the last scan.
    pub(super) fn note(&mut self, what: Concerned, now: Instant) -> bool {
        let is_first = !self.0.contains_key(&what);
        self.0.entry(what).or_insert(Since { first: now, last: now }).last = now;
        is_first
    }

    /// When the first of them is due.
    pub(super) fn due(&self, settle: Duration) -> Option<Instant> {
        self.0.values().map(|since| since.due(settle)).min()
    }

    /// What has settled.
    pub(super) fn take(&mut self, now: Instant, settle: Duration) -> Vec<Concerned> {
        self.0.extract_if(|_, since| now >= since.due(settle)).map(|(what, _)| what).collect()
    }
}
