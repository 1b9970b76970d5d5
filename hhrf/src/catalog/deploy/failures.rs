//! What is remembered of a library that has failed: for good if its bytes decide, else until the next attempt.

use std::time::{Duration, Instant};

use fezz_runtime::Digest;

use super::{DeployError, Known};
use crate::catalog::retry_delay;
use crate::function::FunctionKey;

/// A library that failed its check or its probe.
#[derive(Clone, Debug)]
pub(super) struct BadLibrary {
    digest: Digest,
    assets: Option<Digest>,
    settings: u64,
    reason: String,
    pub(super) failures: u32,
    /// When it may be probed again; never, if its bytes decide.
    again: Option<Instant>,
}

impl Known {
    /// When to deploy the folder again that has failed with `error`, where the error says so.
    pub(in crate::catalog) fn again(&self, error: &DeployError) -> Option<Duration> {
        match error {
            DeployError::Activate(error) => Some(error.again),
            DeployError::Resting { again, .. } => Some(*again),
            DeployError::Probe(_) => {
                Some(self.bad.as_ref()?.again?.saturating_duration_since(Instant::now()))
            }
            _ => None,
        }
    }
}

impl BadLibrary {
    /// What is to be known of a library that has failed this often; none if it is not at fault.
    pub(super) fn new(key: &FunctionKey, error: &DeployError, failures: u32) -> Option<Self> {
        let again = match error {
            error if error.is_the_librarys() => None,
            DeployError::Probe(_) => Some(Instant::now() + retry_delay(failures)),
            _ => return None,
        };
        let FunctionKey { digest, assets, settings, .. } = *key;
        Some(Self { digest, assets, settings, reason: error.to_string(), failures, again })
    }

    pub(super) fn is(&self, key: &FunctionKey) -> bool {
        self.digest == key.digest && self.assets == key.assets && self.settings == key.settings
    }

    /// An error unless it may be tried now.
    pub(super) fn check(&self) -> Result<(), DeployError> {
        let reason = self.reason.clone();
        let Some(at) = self.again else { return Err(DeployError::KnownBad { reason }) };
        let again = at.saturating_duration_since(Instant::now());
        if again.is_zero() { Ok(()) } else { Err(DeployError::Resting { reason, again }) }
    }
}
