//! The cache of loaded functions, by their key, with time-to-idle eviction.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fezz_isolation::host::{PoolContext, PoolStatus};
use futures_util::FutureExt;
use moka::future::Cache as Moka;
use tokio::sync::watch;
use tokio::time::{sleep, timeout_at};
use tokio_util::task::TaskTracker;

use super::error::{LoadError, LoadFailure};
use super::flights::{Flight, Flights, Gate, NotLoaded, Outcome};
use super::loader::{Loaded, Loader};
use super::recent::Recent;
use super::wear::Wear;
use crate::function::{Function, FunctionKey, Swap};

/// How functions are cached.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// A function leaves after this long without a call.
    pub(crate) idle: Duration,
    /// How often the cache is swept: moka has no thread of its own.
    pub(crate) sweep: Duration,
    /// From this many mapped libraries on, each further one is a warning.
    pub(crate) libraries_warning: usize,
}

/// A cache in which a function that many requests miss at once is loaded once.
#[derive(Clone, Debug)]
pub(crate) struct Cache(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) loaded: Moka<Arc<FunctionKey>, Loaded>,
    recent: Recent,
    pub(super) flights: Flights,
    pub(super) loader: Arc<Loader>,
}

/// moka is asked for a function in use after this part of the idle time, by which the function may leave early.
const RECENT_DIVISOR: u32 = 64;
/// The pause between attempts where a failed load is repeated for callers that wait.
const PATIENT_PAUSE: Duration = Duration::from_millis(100);

/// Tells when every function has been shut down.
#[derive(Debug)]
pub(crate) struct AllShutDown(TaskTracker);

/// Where a caller finds its function.
enum Found {
    Loaded(Loaded),
    Flight(Flight),
    Gate(watch::Receiver<Gate>),
}

impl Cache {
    /// An empty cache, and a task that sweeps it. Must be called within a runtime.
    pub(crate) fn start(options: &Options, context: PoolContext) -> (Self, AllShutDown) {
        let loaded = Moka::builder()
            .time_to_idle(options.idle)
            .eviction_listener(|_, loaded: Loaded, _| loaded.evicted())
            .build();
        tokio::spawn(sweep(loaded.clone(), options.sweep));
        let tracker = TaskTracker::new();
        let wear = Wear::new(options.libraries_warning);
        let loader = Arc::new(Loader::new(tracker.clone(), wear, context));
        let recent = Recent::new(options.idle / RECENT_DIVISOR);
        let inner = Inner { loaded, recent, flights: Flights::default(), loader };
        (Self(Arc::new(inner)), AllShutDown(tracker))
    }

    /// The function if it is cached, without waiting.
    pub(crate) fn cached(&self, function: &Function, now: Instant) -> Option<Loaded> {
        if let Some(library) = self.0.recent.get(&function.key, now) {
            return Some(Loaded::Library(library));
        }
        let loaded = self.held(&function.key)?;
        if let Loaded::Library(library) = &loaded {
            self.0.recent.set(&function.key, library, now);
        }
        Some(loaded)
    }

    /// The function, from the cache or from its library. Waits until the deadline at most, and for no load that failed a
    /// moment ago.
    pub(crate) async fn get(&self, function: &Arc<Function>, deadline: Instant) -> Result<Loaded, LoadError> {
        // A function that its old build must leave first: in a hand-over, the old process has it for a while.
        let patient = function.swap == Swap::StopFirst;
        self.get_with(function, deadline, patient).await
    }

    /// The same. A patient caller has a load that fails repeated for as long as the function's calls may take.
    pub(super) async fn get_with(
        &self,
        function: &Arc<Function>,
        deadline: Instant,
        patient: bool,
    ) -> Result<Loaded, LoadError> {
        let late = LoadError::Deadline { timeout: function.limits.timeout };
        timeout_at(deadline.into(), self.wait(Arc::clone(function), patient)).await.unwrap_or(Err(late))
    }

    async fn wait(&self, mut function: Arc<Function>, patient: bool) -> Outcome {
        loop {
            match self.find(&function, patient)? {
                Found::Loaded(loaded) => return Ok(loaded),
                Found::Flight(mut flight) => {
                    let outcome = flight.wait_for(Option::is_some).await;
                    return outcome.map_or(Err(LoadError::Ending), |outcome| {
                        outcome.clone().unwrap_or(Err(LoadError::Ending))
                    });
                }
                Found::Gate(mut gate) => {
                    let open = gate.wait_for(|gate| !matches!(gate, Gate::Closed)).await;
                    // Without a sender the swap has ended, and the gate is gone.
                    if let Ok(Gate::Redirect(new)) = open.as_deref() {
                        function = Arc::clone(new);
                    }
                }
            }
        }
    }

    /// Looks everywhere under one lock, and begins a load if there is none.
    fn find(&self, function: &Arc<Function>, patient: bool) -> Result<Found, LoadError> {
        let key = &function.key;
        let mut state = self.0.flights.lock();
        if let Some(gate) = state.gates.get(key) {
            return Ok(Found::Gate(gate.clone()));
        }
        if let Some(flight) = state.flight(key) {
            return Ok(Found::Flight(flight));
        }
        if let Some(loaded) = self.held(key) {
            return Ok(Found::Loaded(loaded));
        }
        state.check_rest(key, Instant::now())?;
        let (sender, flight) = state.begin(key);
        tokio::spawn(self.clone().load(Arc::clone(function), patient, sender));
        Ok(Found::Flight(flight))
    }

    fn held(&self, key: &Arc<FunctionKey>) -> Option<Loaded> {
        self.0.loaded.get(key).now_or_never().flatten()
    }

    /// One load, which goes on whoever still waits for it.
    async fn load(self, function: Arc<Function>, patient: bool, done: watch::Sender<Option<Outcome>>) {
        let Inner { loaded, flights, loader, .. } = &*self.0;
        let give_up = Instant::now() + function.limits.timeout;
        let mut outcome = loader.load(&function).await;
        while patient && outcome.is_err() && !loader.is_ending() && Instant::now() + PATIENT_PAUSE < give_up {
            sleep(PATIENT_PAUSE).await;
            outcome = loader.load(&function).await;
        }
        match &outcome {
            Ok(found) if !loader.is_ending() => loaded.insert(Arc::clone(&function.key), found.clone()).await,
            Ok(_) => outcome = Err(LoadFailure::Ending),
            Err(failure) => self.report(&function, failure),
        }
        done.send_replace(Some(flights.ended(&function.key, outcome)));
        // It may have ended meanwhile: nothing is to stay that nobody shuts down.
        if loader.is_ending() {
            loaded.invalidate(&function.key).await;
        }
    }

    fn report(&self, function: &Function, failure: &LoadFailure) {
        if matches!(failure, LoadFailure::Ending) {
            return;
        }
        let digest = function.key.digest.short();
        tracing::error!(function = function.name(), digest, "the function could not be loaded: {failure}");
        // A fresh process helps only where old builds hold what is missing.
        if failure.is_wear() && self.0.loader.has_old_mappings() {
            self.worn_out(function, failure);
        }
    }

    pub(super) fn worn_out(&self, function: &Function, failure: &LoadFailure) {
        let name = function.name();
        self.0.loader.wear().tell(format!("{name} cannot be loaded in this process any more: {failure}"));
    }

    /// Evicts one function. It is shut down when its last call has ended.
    pub(crate) async fn evict(&self, key: &Arc<FunctionKey>) {
        self.0.flights.lock().gates.remove(key);
        self.invalidate(key).await;
    }

    pub(super) async fn invalidate(&self, key: &Arc<FunctionKey>) {
        self.0.loaded.invalidate(key).await;
        self.0.loaded.run_pending_tasks().await;
    }

    /// Whether a function is loaded.
    pub(crate) fn holds(&self, key: &Arc<FunctionKey>) -> bool {
        self.0.loaded.contains_key(key)
    }

    /// Why a function is not loaded, if its latest load has failed or does not end.
    pub(crate) fn not_loaded(&self, function: &Function) -> Option<NotLoaded> {
        self.0.flights.not_loaded(function)
    }

    /// The status of an isolated function's pool, if it is loaded.
    pub(crate) fn workers(&self, key: &Arc<FunctionKey>) -> Option<PoolStatus> {
        // Not `get`, which would count as a use.
        let found = self.0.loaded.iter().find(|(found, _)| **found == *key);
        match found {
            Some((_, Loaded::Workers(pool))) => Some(pool.status()),
            _ => None,
        }
    }

    /// The number of libraries that this process has mapped; they stay mapped.
    pub(crate) fn mapped(&self) -> usize {
        self.0.loader.mapped()
    }

    /// Told each time that something wears this process out: why it should be replaced.
    pub(crate) fn wear(&self) -> watch::Receiver<Option<String>> {
        self.0.loader.wear().watch()
    }

    /// Evicts every function and loads no more. Each is shut down when its last call has ended.
    pub(crate) async fn end(&self) {
        self.0.loader.end();
        self.0.loaded.invalidate_all();
        self.0.loaded.run_pending_tasks().await;
    }
}

impl AllShutDown {
    /// Waits until no function is loaded or being shut down.
    pub(crate) async fn wait(self) {
        self.0.close();
        self.0.wait().await;
    }
}

async fn sweep(loaded: Moka<Arc<FunctionKey>, Loaded>, interval: Duration) {
    let mut interval = tokio::time::interval(interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        loaded.run_pending_tasks().await;
    }
}
