//! `/metrics`: the statistics in the OpenMetrics text format, gathered for each scrape.

use std::fmt;
use std::sync::Arc;

use fezz_isolation::host::Budget;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry as Metrics, Unit};

use crate::catalog::{Deployment, Registry};
use crate::function::{RouteStats, Stats};
use crate::load::Cache;
use crate::logging;

/// Gathers all figures.
#[derive(Clone, Debug)]
pub(crate) struct MetricsExporter {
    registry: Arc<Registry>,
    cache: Cache,
    /// Answers to requests for no function's route.
    unmatched: Arc<RouteStats>,
    /// Whether the present settings file is in force.
    settings_in_force: bool,
    /// The memory of request bodies, and of unsent answers.
    bodies: Arc<Budget>,
    answers: Arc<Budget>,
}

impl MetricsExporter {
    pub(crate) fn new(
        registry: Arc<Registry>,
        cache: Cache,
        unmatched: Arc<RouteStats>,
        settings_in_force: bool,
        [bodies, answers]: [Arc<Budget>; 2],
    ) -> Self {
        Self { registry, cache, unmatched, settings_in_force, bodies, answers }
    }

    /// All figures as text.
    ///
    /// # Errors
    /// Those of formatting.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut metrics = Metrics::default();
        metrics.register_collector(Box::new(self.clone()));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &metrics)?;
        Ok(text)
    }
}

/// The functions, as label values and figures.
struct Functions(Vec<(String, String, Arc<Stats>)>);

impl Collector for MetricsExporter {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let deployments = self.registry.deployments();
        let functions = Functions(
            deployments
                .iter()
                .filter_map(|(name, deployment)| {
                    let (id, version) = name.split_once('@')?;
                    Some((id.to_owned(), version.to_owned(), Arc::clone(deployment.stats())))
                })
                .collect(),
        );
        self.requests(&mut encoder, &functions)?;
        let invocations = ("faas_invoke_duration", "Time inside the function.");
        functions.durations(&mut encoder, invocations, |stats| &stats.invocations)?;
        let waits = ("fezz_queue_wait", "Time that calls waited for others of their function to end.");
        functions.durations(&mut encoder, waits, |stats| &stats.queue_wait)?;
        let counters: [Figure; 11] = [
            ("faas_invocations", "Calls of the function.", |stats| stats.calls.get()),
            ("faas_coldstarts", "Loads of the function that ran its fezz_init.", |stats| {
                stats.cold_starts.get()
            }),
            ("faas_errors", "Calls and loads that failed, panics included.", |stats| stats.errors.get()),
            ("faas_panics", "Calls that panicked.", |stats| stats.panics.get()),
            ("fezz_crashes", "Worker processes of the function that crashed.", |stats| stats.crashes.get()),
            ("fezz_slow_polls", "Polls of asynchronous calls that blocked a thread of the host.", |stats| {
                stats.slow_polls.get()
            }),
            ("faas_timeouts", "Calls that passed their deadline.", |stats| stats.timeouts.get()),
            ("fezz_upgrades", "Connections that were upgraded.", |stats| stats.upgrades.get()),
            ("fezz_upgrade_received_bytes", "Bytes that clients sent over upgraded connections.", |stats| {
                stats.upgrade_received.get()
            }),
            ("fezz_upgrade_sent_bytes", "Bytes that the function sent over upgraded connections.", |stats| {
                stats.upgrade_sent.get()
            }),
            ("fezz_refused", "Calls that were not made since the function was full.", |stats| {
                stats.refused.get()
            }),
        ];
        for figure in counters {
            functions.counter(&mut encoder, figure)?;
        }
        functions
            .gauge(&mut encoder, ("faas_in_flight", "Calls that are running."), |stats| &stats.in_flight)?;
        let queued = ("fezz_queue_length", "Calls that wait for others of their function to end.");
        functions.gauge(&mut encoder, queued, |stats| &stats.queued)?;
        let open = ("fezz_upgrades_open", "Upgraded connections that are open.");
        functions.gauge(&mut encoder, open, |stats| &stats.open_upgrades)?;
        let loaded = deployments.iter().filter_map(|(_, deployment)| deployment.function.as_ref());
        let loaded = loaded.filter(|function| self.cache.holds(&function.key)).count();
        gauge(&mut encoder, "fezz_functions_loaded", "Functions that are loaded now.", loaded)?;
        let mapped = "Libraries ever mapped by this process; they stay mapped.";
        gauge(&mut encoder, "fezz_libraries_mapped", mapped, self.cache.mapped())?;
        let previous = "Functions that serve an earlier deployment, since the present one fails.";
        let is_previous =
            |deployment: &Deployment| deployment.function.is_some() && deployment.last_error.is_some();
        let count = deployments.iter().filter(|(_, deployment)| is_previous(deployment)).count();
        gauge(&mut encoder, "fezz_functions_serving_previous", previous, count)?;
        let successful = "1 if the settings file was in order when this process began, 0 if the last good one \
                          stands in for it.";
        let in_force = usize::from(self.settings_in_force);
        gauge(&mut encoder, "fezz_config_last_reload_successful", successful, in_force)?;
        let bytes = |budget: &Budget| usize::try_from(budget.used()).unwrap_or(usize::MAX);
        let help = "Memory of the request bodies that the host holds.";
        gauge(&mut encoder, "fezz_request_memory_bytes", help, bytes(&self.bodies))?;
        let help = "Memory of the answers that clients have not taken yet.";
        gauge(&mut encoder, "fezz_response_memory_bytes", help, bytes(&self.answers))?;
        let help = "Lines of the log that were dropped, since standard error was not read.";
        let family = encoder.encode_descriptor("fezz_log_dropped", help, None, MetricType::Counter)?;
        ConstCounter::new(logging::dropped()).encode(family)
    }
}

type Figure = (&'static str, &'static str, fn(&Stats) -> u64);

impl MetricsExporter {
    fn requests(&self, encoder: &mut DescriptorEncoder<'_>, functions: &Functions) -> fmt::Result {
        let help = "From the head of a request to the head of its answer.";
        let name = "http_server_request_duration";
        let mut family =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        let mut each = |id: &str, version: &str, route: &str, stats: &RouteStats| {
            stats.series().iter().try_for_each(|series| {
                let labels = [
                    ("method", series.method),
                    ("route", route),
                    ("status", series.status.as_str()),
                    ("function", id),
                    ("version", version),
                ];
                series.durations.encode(family.encode_family(&labels)?)
            })
        };
        for (id, version, stats) in &functions.0 {
            stats.routes().iter().try_for_each(|(route, stats)| each(id, version, route, stats))?;
        }
        each("", "", "", &self.unmatched)
    }
}

impl Functions {
    fn durations(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        get: fn(&Stats) -> &Histogram,
    ) -> fmt::Result {
        let mut family =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        self.0.iter().try_for_each(|(id, version, stats)| {
            let labels = [("function", id.as_str()), ("version", version.as_str())];
            get(stats).encode(family.encode_family(&labels)?)
        })
    }

    fn counter(&self, encoder: &mut DescriptorEncoder<'_>, (name, help, get): Figure) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        self.0.iter().try_for_each(|(id, version, stats)| {
            let labels = [("function", id.as_str()), ("version", version.as_str())];
            ConstCounter::new(get(stats)).encode(family.encode_family(&labels)?)
        })
    }

    fn gauge(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        (name, help): (&str, &str),
        get: fn(&Stats) -> &Gauge,
    ) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        self.0.iter().try_for_each(|(id, version, stats)| {
            let labels = [("function", id.as_str()), ("version", version.as_str())];
            ConstGauge::new(get(stats).get()).encode(family.encode_family(&labels)?)
        })
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> fmt::Result {
    let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(family)
}
