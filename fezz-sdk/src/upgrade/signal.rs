//! [`Signal`]: tells the tasks of an upgraded connection that the host is about to end.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use crate::entry::RequestRef;

/// Set once. The host sets the request's flag and has both streams polled; whichever is polled first passes it on.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    is_set: AtomicBool,
    waiting: Notify,
}

impl Signal {
    /// Sets it if the host has set the request's flag.
    pub(super) fn follow(&self, request: &RequestRef) {
        if request.is_cancelled() && !self.is_set.swap(true, Ordering::AcqRel) {
            self.waiting.notify_waiters();
        }
    }

    /// Waits until it is set.
    pub(crate) async fn wait(&self) {
        loop {
            let told = self.waiting.notified();
            if self.is_set.load(Ordering::Acquire) {
                return;
            }
            told.await;
        }
    }
}
