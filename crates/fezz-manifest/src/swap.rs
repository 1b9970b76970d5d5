//! The key `swap`: how a new build takes the place of the one before it.

use schemars::JsonSchema;

use crate::isolation::one_of;
use crate::json::Json;
use crate::problem::{At, Problem};

/// How a new build takes the place of the one before it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
pub enum Swap {
    /// The new one is started, and then takes the calls: no call waits, and both are up for a moment.
    #[default]
    StartFirst,
    /// Calls wait while the old one ends its own and is shut down, and the new one is started: never are both up.
    StopFirst,
}

/// Checks `swap`.
pub(crate) fn swap(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Swap> {
    one_of(json, at, &[("start-first", Swap::StartFirst), ("stop-first", Swap::StopFirst)], problems)
}
