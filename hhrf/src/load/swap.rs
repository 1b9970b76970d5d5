//! Swaps: the new build of a function is brought up before it takes the place of the old one.
//!
//! As a rule both are up for a moment, and calls go from one to the other. Where a build cannot be up beside another one
//! (a database that it locks, a port), `"swap": "stop-first"` in `fezz.json` asks for an ordered change: new callers
//! wait, running calls end, the old build is shut down, and then the new one is loaded. If that fails, the old build is
//! loaded again and takes the calls.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::timeout_at;

use super::cache::Cache;
use super::error::{LoadError, LoadFailure};
use super::flights::Gate;
use super::loader::Loaded;
use crate::catalog::{Activate, NotActivated};
use crate::function::{Function, FunctionKey, Swap};

/// A new build may take at least this long to be loaded; one whose calls may take longer, as long as these.
const LEAST_PATIENCE: Duration = Duration::from_secs(10);

impl Activate for Cache {
    fn activate<'a>(
        &'a self,
        new: &'a Arc<Function>,
        old: &'a Arc<Function>,
    ) -> Pin<Box<dyn Future<Output = Result<(), NotActivated>> + Send + 'a>> {
        Box::pin(async move {
            let done = match new.swap {
                Swap::StartFirst => self.bring_up(new).await,
                Swap::StopFirst => self.stop_first(new, old).await,
            };
            done.map_err(|error| match error {
                LoadError::Failed { cause, again } => NotActivated { reason: cause.to_string(), again },
                other => NotActivated { reason: other.to_string(), again: Duration::from_secs(1) },
            })
        })
    }
}

impl Cache {
    /// Loads a build that nobody calls yet.
    async fn bring_up(&self, new: &Arc<Function>) -> Result<(), LoadError> {
        // This build may have been replaced before, and its callers sent elsewhere.
        self.0.flights.lock().gates.remove(&new.key);
        let patience = patience(new);
        let deadline = Instant::now() + patience;
        let loaded = match self.get_with(new, deadline, false).await {
            Err(LoadError::Deadline { .. }) => {
                return Err(self.failed(&new.key, LoadFailure::Hangs(patience)));
            }
            // A fresh process helps: it does not load the old build, whatever else it loads.
            Err(LoadError::Failed { cause, again }) if cause.is_wear() => {
                self.worn_out(new, &cause);
                return Err(LoadError::Failed { cause, again });
            }
            other => other?,
        };
        if let Loaded::Workers(pool) = loaded {
            // A pool is there at once; its first worker shows whether the function starts.
            if let Err(error) = pool.abilities(deadline).await {
                self.invalidate(&new.key).await;
                return Err(self.failed(&new.key, error.into()));
            }
        }
        Ok(())
    }

    fn failed(&self, key: &Arc<FunctionKey>, failure: LoadFailure) -> LoadError {
        self.0.flights.lock().failed(key, failure)
    }

    async fn stop_first(&self, new: &Arc<Function>, old: &Arc<Function>) -> Result<(), LoadError> {
        // Not before the new build may be tried again: the old one would stop for nothing.
        self.0.flights.lock().check_rest(&new.key, Instant::now())?;
        let gate = ClosedGate::new(self, &old.key);
        let patience = patience(old);
        let drained = timeout_at((Instant::now() + patience).into(), self.stop(old)).await;
        if drained.is_err() {
            return Err(self.failed(&new.key, LoadFailure::StillRunning(patience)));
        }
        tracing::debug!(function = old.name(), digest = %old.key.digest, "stopped, for its successor");
        self.bring_up(new).await?;
        gate.redirect(new);
        Ok(())
    }

    /// Shuts a function down, whose gate is closed.
    async fn stop(&self, function: &Function) {
        let flight = self.0.flights.lock().flight(&function.key);
        if let Some(mut flight) = flight {
            let _ = flight.wait_for(Option::is_some).await;
        }
        self.invalidate(&function.key).await;
        self.0.loader.until_down(function).await;
    }
}

fn patience(function: &Function) -> Duration {
    function.limits.timeout.max(LEAST_PATIENCE)
}

/// Holds up the callers of a function. Dropped, it lets them go on as before.
struct ClosedGate<'c> {
    cache: &'c Cache,
    key: &'c Arc<FunctionKey>,
    sender: Option<watch::Sender<Gate>>,
}

impl<'c> ClosedGate<'c> {
    fn new(cache: &'c Cache, key: &'c Arc<FunctionKey>) -> Self {
        let (sender, gate) = watch::channel(Gate::Closed);
        cache.0.flights.lock().gates.insert(Arc::clone(key), gate);
        Self { cache, key, sender: Some(sender) }
    }

    /// Sends them to this function instead, until the old one is retired.
    fn redirect(mut self, new: &Arc<Function>) {
        if let Some(sender) = self.sender.take() {
            sender.send_replace(Gate::Redirect(Arc::clone(new)));
        }
    }
}

impl Drop for ClosedGate<'_> {
    fn drop(&mut self) {
        if let Some(sender) = self.sender.take() {
            self.cache.0.flights.lock().gates.remove(self.key);
            sender.send_replace(Gate::Open);
        }
    }
}
