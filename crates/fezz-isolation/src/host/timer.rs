//! A timer that is set for every call and hardly ever fires.

use std::pin::Pin;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// A reusable timer. If it is set earlier than needed it stays so: resetting costs more than a spurious wake-up.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits until `due` at the latest, possibly less. Cancel-safe.
    pub(super) async fn wait_until(&mut self, due: Instant) {
        let due = due.into();
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.is_elapsed() || sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().await;
    }
}
