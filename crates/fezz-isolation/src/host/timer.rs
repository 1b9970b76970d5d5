//! A timer that is set for every call and hardly ever rings.

use std::pin::Pin;
use std::time::Instant;

use tokio::time::{Sleep, sleep_until};

/// One that is set earlier than is asked for is left as it is: setting it costs more than a ring too many.
#[derive(Debug, Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Waits until then at the latest. Nothing is lost where this is dropped half-way.
    pub(super) async fn wait_until(&mut self, due: Instant) {
        let due = due.into();
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.is_elapsed() || sleep.deadline() > due {
            sleep.as_mut().reset(due);
        }
        sleep.as_mut().await;
    }
}
