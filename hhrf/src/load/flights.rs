//! Loads that are under way, and those that have failed.
//!
//! A load is a task of its own, which no request owns: however many requests wait for it, and whichever of them leave, a
//! function is loaded by one task at a time. A load that never ends costs one thread, and requests leave it at their
//! deadlines. After a failure the next load waits, longer each time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::error::{LoadError, LoadFailure};
use super::loader::Loaded;
use crate::catalog::retry_delay;
use crate::function::{Function, FunctionKey};

/// A failure that nobody has asked about for this long is forgotten.
const FORGET: Duration = Duration::from_secs(3600);

/// What a load comes to.
pub(super) type Outcome = Result<Loaded, LoadError>;
/// Told the outcome of a load.
pub(super) type Flight = watch::Receiver<Option<Outcome>>;

/// Why a function is not loaded, for an operator to see.
#[derive(Clone, Debug)]
pub(crate) struct NotLoaded {
    pub(crate) at: SystemTime,
    pub(crate) reason: String,
}

/// A function whose latest load has failed.
#[derive(Debug)]
struct Failure {
    at: SystemTime,
    cause: Arc<LoadFailure>,
    attempts: u32,
    again: Instant,
}

/// What becomes of the callers of a function that another build replaces.
#[derive(Clone, Debug)]
pub(super) enum Gate {
    /// They wait.
    Closed,
    /// The new build takes their calls.
    Redirect(Arc<Function>),
    /// The old build takes them, as before.
    Open,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    flights: HashMap<Arc<FunctionKey>, (Flight, SystemTime)>,
    failures: HashMap<Arc<FunctionKey>, Failure>,
    pub(super) gates: HashMap<Arc<FunctionKey>, watch::Receiver<Gate>>,
}

impl Flights {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes down what a load has come to.
    pub(super) fn ended(&self, key: &Arc<FunctionKey>, outcome: Result<Loaded, LoadFailure>) -> Outcome {
        let mut state = self.lock();
        state.flights.remove(key);
        match outcome {
            Ok(loaded) => {
                state.failures.remove(key);
                Ok(loaded)
            }
            Err(LoadFailure::Ending) => Err(LoadError::Ending),
            Err(cause) => Err(state.failed(key, cause)),
        }
    }

    /// Why this function is not loaded: a load takes longer than its calls may, or the latest one has failed.
    pub(super) fn not_loaded(&self, function: &Function) -> Option<NotLoaded> {
        let state = self.lock();
        if let Some((_, since)) = state.flights.get(&function.key)
            && let Ok(waited) = since.elapsed()
            && waited > function.limits.timeout
        {
            let reason = LoadFailure::Hangs(waited).to_string();
            return Some(NotLoaded { at: *since, reason });
        }
        let failure = state.failures.get(&function.key)?;
        Some(NotLoaded { at: failure.at, reason: failure.cause.to_string() })
    }
}

impl State {
    /// The load that is under way, if one is.
    pub(super) fn flight(&self, key: &Arc<FunctionKey>) -> Option<Flight> {
        self.flights.get(key).map(|(flight, _)| flight.clone())
    }

    /// Registers a load; its task sends the outcome.
    pub(super) fn begin(&mut self, key: &Arc<FunctionKey>) -> (watch::Sender<Option<Outcome>>, Flight) {
        let (sender, flight) = watch::channel(None);
        self.flights.insert(Arc::clone(key), (flight.clone(), SystemTime::now()));
        (sender, flight)
    }

    /// An error while the next load has to wait.
    pub(super) fn check_rest(&self, key: &Arc<FunctionKey>, now: Instant) -> Result<(), LoadError> {
        match self.failures.get(key) {
            Some(failure) if failure.again > now => {
                let again = failure.again.saturating_duration_since(now);
                Err(LoadError::Failed { cause: Arc::clone(&failure.cause), again })
            }
            _ => Ok(()),
        }
    }

    /// Takes down a failure, which delays the next load.
    pub(super) fn failed(&mut self, key: &Arc<FunctionKey>, cause: LoadFailure) -> LoadError {
        let now = Instant::now();
        self.failures.retain(|_, failure| now.saturating_duration_since(failure.again) < FORGET);
        let attempts = self.failures.get(key).map_or(0, |before| before.attempts) + 1;
        let (cause, delay) = (Arc::new(cause), retry_delay(attempts));
        let failure =
            Failure { at: SystemTime::now(), cause: Arc::clone(&cause), attempts, again: now + delay };
        self.failures.insert(Arc::clone(key), failure);
        LoadError::Failed { cause, again: delay }
    }
}
