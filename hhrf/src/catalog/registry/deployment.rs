//! What is known of one folder.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::absence::Absence;
use super::restore::Restored;
use crate::catalog::deploy::{DeployError, Fingerprint, Known, Took};
use crate::catalog::retry_delay;
use crate::function::{Function, Stats};

/// One folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deployment {
    /// What serves: the last good state.
    pub(crate) function: Option<Arc<Function>>,
    pub(crate) deployed_at: Option<SystemTime>,
    /// How often something new has been served from it.
    pub(crate) deploys: u64,
    /// Why the folder's present state does not serve, if it does not.
    pub(crate) last_error: Option<LastError>,
    /// Why changes in it are not noticed at once, if they are not.
    pub(crate) unwatched: Option<String>,
    /// The state that was looked at last; none where it has to be looked at again.
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) known: Known,
    /// Since when it has been missing, if it is.
    pub(super) absence: Option<Absence>,
    /// How often in a row it was left alone since it was changing.
    pub(super) postponed: u32,
    /// Attempts in a row that have failed for a reason that may pass.
    pub(super) failures: u32,
}

/// A failure, and when it was seen.
#[derive(Clone, Debug)]
pub(crate) struct LastError {
    pub(crate) at: SystemTime,
    pub(crate) message: String,
    /// Whether deploying the same folder again may succeed.
    pub(super) may_pass: bool,
}

impl Deployment {
    /// What is counted under its name.
    pub(crate) const fn stats(&self) -> &Arc<Stats> {
        &self.known.stats
    }

    /// Takes over what its folder is now; whether that is anything new.
    pub(super) fn deployed(&mut self, function: Arc<Function>, took: Took) -> bool {
        self.last_error = None;
        self.failures = 0;
        if self.function.as_ref().is_some_and(|before| before.is_same(&function)) {
            return false;
        }
        let (took_ms, probe_ms) = took.millis();
        tracing::info!(function = function.name(), digest = %function.key.digest, took_ms, probe_ms, "serving");
        self.deployed_at = Some(SystemTime::now());
        self.deploys += 1;
        self.function = Some(function);
        true
    }

    /// Takes over what its folder was by the history, if nothing serves yet; whether that was so.
    pub(super) fn restored(&mut self, Restored { function, deployed_at }: Restored) -> bool {
        if self.function.is_some() {
            return false;
        }
        self.deployed_at = deployed_at;
        self.function = Some(function);
        true
    }

    /// Notes why its folder does not serve; answers with when to try again, if that may help.
    pub(super) fn failed(&mut self, error: &DeployError) -> Option<Duration> {
        let may_pass = error.may_pass();
        self.last_error = Some(LastError { at: SystemTime::now(), may_pass, message: error.to_string() });
        self.failures = if may_pass { self.failures.saturating_add(1) } else { 0 };
        may_pass.then(|| self.known.again(error).unwrap_or_else(|| retry_delay(self.failures)))
    }
}
