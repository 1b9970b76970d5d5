//! The end of serving: signals, and draining.

use std::io;
use std::time::Duration;

use fezz_runtime::sys::remember_dispositions;
use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::admin::Readiness;
use crate::load::{AllShutDown, Cache};
use crate::supervise::EndSignal;

/// How serving ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    /// How long to go on serving after a SIGTERM, while a load balancer notices that the host is not ready.
    pub(crate) delay: Duration,
    /// How long running requests and shutdowns of functions may take.
    pub(crate) grace: Duration,
    /// How long idle connections are kept after a hand-over.
    pub(crate) hand_over: Duration,
}

/// The signals that end the host.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    /// The same by the supervisor's word.
    orders: mpsc::UnboundedReceiver<EndSignal>,
}

impl Signals {
    /// Must be called within a runtime.
    pub(super) fn listen(orders: mpsc::UnboundedReceiver<EndSignal>) -> io::Result<Self> {
        let signals =
            Self { term: listen(SignalKind::terminate())?, int: listen(SignalKind::interrupt())?, orders };
        // Of no interest here, but it must not be set up later: it would look as if a function had done that.
        drop(listen(SignalKind::child())?);
        remember_dispositions();
        Ok(signals)
    }

    /// Waits for SIGTERM or SIGINT. After a SIGTERM, serving goes on for `delay`, while a load balancer notices that the
    /// host is not ready. SIGINT and a second signal end it at once.
    pub(super) async fn end(mut self, readiness: Readiness, delay: Duration) -> &'static str {
        let name = self.next().await;
        readiness.set(false);
        if name == "SIGTERM" && !delay.is_zero() {
            tracing::info!(signal = name, delay_ms = millis(delay), "ending soon, and not ready any more");
            let _ = timeout_at(Instant::now() + delay, self.next()).await;
        }
        name
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.int.recv() => "SIGINT",
            Some(signal) = self.orders.recv() => signal.name(),
        }
    }
}

/// Milliseconds, for log lines.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Waits for running requests to `finish` and shuts every function down, within the grace period.
pub(super) async fn drain(
    finish: impl Future<Output = ()>,
    cache: &Cache,
    all_shut_down: AllShutDown,
    grace: Duration,
) {
    let deadline = Instant::now() + grace;
    if timeout_at(deadline, finish).await.is_err() {
        tracing::warn!("requests were still running at the end of the grace period");
    }
    cache.end().await;
    if timeout_at(deadline, all_shut_down.wait()).await.is_err() {
        tracing::warn!("functions were still running at the end of the grace period");
    }
}
