//! The end: signals, and what is waited for after one.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal as listen};
use tokio::time::{Instant, timeout_at};

use crate::admin::Readiness;
use crate::resolve::{AllShutDown, Cache};

/// What ends the host.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
}

impl Signals {
    /// Must be called within a runtime.
    pub(super) fn listen() -> io::Result<Self> {
        Ok(Self { term: listen(SignalKind::terminate())?, int: listen(SignalKind::interrupt())? })
    }

    /// Waits for SIGTERM or SIGINT, and then for as long as the host has to go on serving: after a SIGTERM, the
    /// `delay` in which a load balancer finds out that it is not ready any more; nobody waits behind a SIGINT, nor
    /// after a second signal.
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
        }
    }
}

/// For log lines.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Lets running requests `finish` and shuts every function down, within the grace period.
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
