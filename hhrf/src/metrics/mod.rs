//! What is counted: by each function for its calls, and by each route for its answers. The admin listener reads it.
//!
//! Label sets are resolved when a function is deployed, and the series of a method and status when it is first seen,
//! so that counting an answer looks nothing up but that.

mod export;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use fezz_manifest::RouteTable;
use http::{Method, StatusCode};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

pub(crate) use export::Exporter;

use crate::ffi::ReplyError;

/// Seconds. The upper part is OpenTelemetry's for `http.server.request.duration`; native functions need the lower one.
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
    /// Polls of an asynchronous call that blocked their thread.
    pub(crate) slow_polls: Counter,
    /// Loads that ran `fezz_init`.
    pub(crate) cold_starts: Counter,
    /// Calls that hold a permit.
    pub(crate) in_flight: Gauge,
    invocations: Histogram,
    routes: Mutex<BTreeMap<String, Arc<RouteStats>>>,
}

impl Default for Stats {
    fn default() -> Self {
        Self {
            calls: Counter::default(),
            errors: Counter::default(),
            panics: Counter::default(),
            timeouts: Counter::default(),
            slow_polls: Counter::default(),
            cold_starts: Counter::default(),
            in_flight: Gauge::default(),
            invocations: durations(),
            routes: Mutex::default(),
        }
    }
}

impl Stats {
    /// Counts a call that took this long inside the function.
    pub(crate) fn answered<T>(&self, took: Duration, reply: &Result<T, ReplyError>) {
        self.calls.inc();
        self.invocations.observe(took.as_secs_f64());
        if let Err(error) = reply {
            self.errors.inc();
            if matches!(error, ReplyError::Panicked(_)) {
                self.panics.inc();
            }
        }
    }

    /// What is counted for each pattern of a table; a pattern that was there before goes on with what it had.
    pub(crate) fn of_routes(&self, routes: &RouteTable) -> Vec<Arc<RouteStats>> {
        let mut known = self.routes();
        routes.patterns().map(|pattern| Arc::clone(known.entry(pattern.to_owned()).or_default())).collect()
    }

    fn routes(&self) -> MutexGuard<'_, BTreeMap<String, Arc<RouteStats>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answers of one route.
#[derive(Debug, Default)]
pub(crate) struct RouteStats(RwLock<Vec<Series>>);

#[derive(Clone, Debug)]
struct Series {
    method: &'static str,
    status: StatusCode,
    durations: Histogram,
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

    fn series(&self) -> Vec<Series> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A method as a label. Clients make methods up, so that the others are one (as OpenTelemetry has it).
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
