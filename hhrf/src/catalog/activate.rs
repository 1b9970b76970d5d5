//! [`Activate`]: what brings a new build up before it takes the place of the one that serves.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use crate::function::Function;

/// Loads new builds. The catalog does not know how.
pub(crate) trait Activate: Send + Sync + fmt::Debug {
    /// Brings `new` up, which is to replace `old`; as long as this has not succeeded, `old` serves.
    fn activate<'a>(
        &'a self,
        new: &'a Arc<Function>,
        old: &'a Arc<Function>,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotActivated>> + Send + 'a>>;
}

/// Why a build cannot take over.
#[derive(Debug, thiserror::Error)]
#[error("the new build cannot be loaded: {reason}")]
pub(crate) struct NotActivated {
    pub(crate) reason: String,
    /// When to try again.
    pub(crate) again: Duration,
}
