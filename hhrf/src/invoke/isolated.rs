//! A call of a function that has processes of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::InvokeError;
use super::gate::Permit;
use crate::ffi::{CallParts, Reply, ReplyError};
use crate::pool::{CallError, Pool, Ticket};

/// Makes the call in a task of its own: whoever waits may go at any time, and the call has to end in good order.
pub(super) async fn run(
    pool: Arc<Pool>,
    parts: CallParts,
    permit: Permit,
    deadline: Instant,
    timeout: Duration,
) -> Result<Reply, InvokeError> {
    let stats = Arc::clone(&parts.function.stats);
    let ticket = Arc::new(Ticket::default());
    let waiter = Waiter(Arc::clone(&ticket));
    let call = tokio::spawn(async move {
        let answer = pool.call(&parts, &ticket, deadline).await;
        // Before the answer goes out: who has it may call again at once, and must find the permit free.
        drop(permit);
        answer
    });
    let answer = call.await;
    // There is nothing left to abandon.
    drop(waiter);
    match answer {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(CallError::Deadline)) => {
            stats.timeouts.inc();
            Err(InvokeError::Deadline { timeout, abandoned: 0 })
        }
        Ok(Err(error)) => {
            stats.errors.inc();
            if matches!(error, CallError::Reply(ReplyError::Panicked(_))) {
                stats.panics.inc();
            }
            Err(error.into())
        }
        Err(_) => Err(InvokeError::Lost),
    }
}

/// The side that waits; the call is told when it goes.
struct Waiter(Arc<Ticket>);

impl Drop for Waiter {
    fn drop(&mut self) {
        self.0.abandon();
    }
}
