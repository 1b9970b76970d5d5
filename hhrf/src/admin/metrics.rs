//! `/metrics`: the statistics in the OpenMetrics text format, gathered for each scrape.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry as Metrics, Unit};

use crate::catalog::{Deployment, Registry};
use crate::function::{RouteStats, Stats};
use crate::load::Cache;

/// Gathers all figures.
#[derive(Clone, Debug)]
pub(crate) struct MetricsExporter {
    registry: Arc<Registry>,
    cache: Cache,
    /// Answers to requests for no function's route.
    unmatched: Arc<RouteStats>,
    /// Whether the present settings file is in force.
    settings_in_force: bool,
}

impl MetricsExporter {
    pub(crate) const fn new(
        registry: Arc<Registry>,
        cache: Cache,
        unmatched: Arc<RouteStats>,
        settings_in_force: bool,
    ) -> Self {
        Self { registry, cache, unmatched, settings_in_force }
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
        functions.invocations(&mut encoder)?;
        let counters: [Figure; 7] = [
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
        ];
        for figure in counters {
            functions.counter(&mut encoder, figure)?;
        }
        functions.in_flight(&mut encoder)?;
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
        gauge(&mut encoder, "fezz_config_last_reload_successful", successful, in_force)
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
    fn invocations(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Time inside the function.";
        let name = "faas_invoke_duration";
        let mut family =
            encoder.encode_descriptor(name, help, Some(&Unit::Seconds), MetricType::Histogram)?;
        self.0.iter().try_for_each(|(id, version, stats)| {
            let labels = [("function", id.as_str()), ("version", version.as_str())];
            stats.invocations.encode(family.encode_family(&labels)?)
        })
    }

    fn counter(&self, encoder: &mut DescriptorEncoder<'_>, (name, help, get): Figure) -> fmt::Result {
        let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
        self.0.iter().try_for_each(|(id, version, stats)| {
            let labels = [("function", id.as_str()), ("version", version.as_str())];
            ConstCounter::new(get(stats)).encode(family.encode_family(&labels)?)
        })
    }

    fn in_flight(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Calls that are running.";
        let mut family = encoder.encode_descriptor("faas_in_flight", help, None, MetricType::Gauge)?;
        self.0.iter().try_for_each(|(id, version, stats)| {
            let labels = [("function", id.as_str()), ("version", version.as_str())];
            ConstGauge::new(stats.in_flight.get()).encode(family.encode_family(&labels)?)
        })
    }
}

fn gauge(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: usize) -> fmt::Result {
    let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX)).encode(family)
}
