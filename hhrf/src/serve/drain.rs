//! The end: signals, and what is waited for after one.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal as listen};
use tokio::time::{Instant, timeout_at};

use crate::resolve::{AllShutDown, Cache};

/// Waits for SIGTERM or SIGINT; answers with its name.
pub(super) async fn signal() -> &'static str {
    let (Ok(mut term), Ok(mut int)) = (listen(SignalKind::terminate()), listen(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be listened to; the host ends with SIGKILL alone");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}

/// Lets running requests `finish` and shuts every function down, within the grace period.
pub(super) async fn drain(
    finish: impl Future<Output = ()>,
    cache: Cache,
    all_shut_down: AllShutDown,
    grace: Duration,
) {
    let deadline = Instant::now() + grace;
    if timeout_at(deadline, finish).await.is_err() {
        tracing::warn!("requests were still running at the end of the grace period");
    }
    cache.clear().await;
    if timeout_at(deadline, all_shut_down.wait()).await.is_err() {
        tracing::warn!("functions were still running at the end of the grace period");
    }
}
