//! The limit of a function's concurrent calls, and the refusal of an overloaded function.

use std::sync::Arc;

use super::CallError;
use crate::function::Function;

/// The right to run one call. It belongs to the call and not to the request that waits for it: a client that leaves does
/// not free a thread that is still at work.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Function>);

impl Permit {
    /// A permit, if the function runs fewer calls than it may.
    pub(crate) fn acquire(function: &Arc<Function>) -> Result<Self, CallError> {
        let limit = function.limits.max_concurrency;
        if !function.calls.begin(limit) {
            return Err(CallError::Full { limit });
        }
        function.stats.in_flight.inc();
        Ok(Self(Arc::clone(function)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.stats.in_flight.dec();
        self.0.calls.end();
    }
}

/// An error if too many running calls of the function have lost their callers.
pub(super) fn check_overload(function: &Function, abandoned_max: usize) -> Result<(), CallError> {
    match function.calls.overload(abandoned_max) {
        Some(abandoned) => Err(CallError::Overloaded { abandoned }),
        None => Ok(()),
    }
}
