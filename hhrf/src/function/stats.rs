//! Statistics: of each function's calls, and of each route's answers. The admin listener exports them.
//!
//! Label sets are resolved when a function is deployed, and the series of a method and status when it first occurs:
//! counting an answer looks up nothing but that series.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use fezz_isolation::host::Observer;
use fezz_manifest::RouteTable;
use fezz_runtime::ffi::ReplyError;
use http::{Method, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

/// Bucket bounds in seconds: OpenTelemetry's for `http.server.request.duration`, and lower ones for native functions.
const BUCKETS: [f64; 19] = [
    0.0001, 0.000_25, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5,
    5.0, 7.5, 10.0,
];

fn durations() -> Histogram {
    Histogram::new(BUCKETS)
}

/// One `id@version`, over all of its deployments.
#[derive(Debug)]
pub(crate) struct Stats {
    /// Calls that were made.
    pub(crate) calls: Counter,
    /// Calls that failed, panics among them, and loads that failed.
    pub(crate) errors: Counter,
    pub(crate) panics: Counter,
    pub(crate) timeouts: Counter,
    /// Workers that crashed.
    pub(crate) crashes: Counter,
    /// Polls of an asynchronous call that blocked their thread.
    pub(crate) slow_polls: Counter,
    /// Loads that ran `fezz_init`, and workers that started.
    pub(crate) cold_starts: Counter,
    /// Calls that hold a permit.
    pub(crate) in_flight: Gauge,
    pub(crate) invocations: Histogram,
    /// Calls that wait for others to end.
    pub(crate) queued: Gauge,
    /// How long they waited, also those that were refused or given up then.
    pub(crate) queue_wait: Histogram,
    /// Calls that were refused since the function was full.
    pub(crate) refused: Counter,
    /// Connections that were upgraded, and those of them that are open.
    pub(crate) upgrades: Counter,
    pub(crate) open_upgrades: Gauge,
    /// Bytes that clients sent over them, and bytes that the function sent.
    pub(crate) upgrade_received: Counter,
    pub(crate) upgrade_sent: Counter,
    /// A moving average of the time that calls take, in microseconds; 0 before the first.
    mean_micros: AtomicU64,
    routes: Mutex<BTreeMap<String, Arc<RouteStats>>>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            calls: Counter::default(),
            errors: Counter::default(),
            panics: Counter::default(),
            timeouts: Counter::default(),
            crashes: Counter::default(),
            slow_polls: Counter::default(),
            cold_starts: Counter::default(),
            in_flight: Gauge::default(),
            invocations: durations(),
            queued: Gauge::default(),
            queue_wait: durations(),
            refused: Counter::default(),
            upgrades: Counter::default(),
            open_upgrades: Gauge::default(),
            upgrade_received: Counter::default(),
            upgrade_sent: Counter::default(),
            mean_micros: AtomicU64::new(0),
            routes: Mutex::default(),
        }
    }
}

impl Stats {
    /// Counts a call that took this long inside the function.
    pub(crate) fn call_ended(&self, took: Duration, error: Option<&ReplyError>) {
        self.calls.inc();
        self.invocations.observe(took.as_secs_f64());
        self.learn(took);
        if let Some(error) = error {
            self.errors.inc();
            if matches!(error, ReplyError::Panicked(_)) {
                self.panics.inc();
            }
        }
    }

    /// How long calls have taken lately.
    pub(crate) fn mean_call(&self) -> Duration {
        Duration::from_micros(self.mean_micros.load(Ordering::Relaxed))
    }

    fn learn(&self, took: Duration) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        // Calls that end together may lose one: it is an estimate.
        let mean = self.mean_micros.load(Ordering::Relaxed);
        let new = if mean == 0 { took } else { mean - mean / 8 + took / 8 };
        self.mean_micros.store(new, Ordering::Relaxed);
    }

    /// The statistics of each pattern of a table. A pattern that was there before keeps its counts.
    pub(crate) fn of_routes(&self, routes: &RouteTable) -> Vec<Arc<RouteStats>> {
        let mut known = self.routes();
        routes.patterns().map(|pattern| Arc::clone(known.entry(pattern.to_owned()).or_default())).collect()
    }

    pub(crate) fn routes(&self) -> MutexGuard<'_, BTreeMap<String, Arc<RouteStats>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Stats {
    fn worker_started(&self) {
        self.cold_starts.inc();
    }

    fn worker_crashed(&self) {
        self.crashes.inc();
    }

    fn call_ended(&self, took: Duration, error: Option<&ReplyError>) {
        Self::call_ended(self, took, error);
    }

    fn body_broken(&self) {
        self.errors.inc();
    }
}

/// The answers of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteStats(RwLock<Vec<Series>>);

/// The answers of one route that have the same method and status.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    pub(crate) method: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) durations: Histogram,
}

impl RouteStats {
    /// Counts an answer.
    pub(crate) fn answered(&self, method: &'static str, status: StatusCode, took: Duration) {
        let took = took.as_secs_f64();
        let is_it = |series: &&Series| series.status == status && series.method == method;
        {
            let series = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(found) = series.iter().find(is_it) {
                return found.durations.observe(took);
            }
        }
        let mut series = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = series.iter().find(is_it) {
            return found.durations.observe(took);
        }
        let durations = durations();
        durations.observe(took);
        series.push(Series { method, status, durations });
    }

    pub(crate) fn series(&self) -> Vec<Series> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A method as a label. Unknown methods share one, as in OpenTelemetry: clients could make up any number of them.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "_OTHER",
    }
}
