//! A call of a function that has processes of its own.

use std::sync::Arc;

use axum::body::Body;
use tokio::sync::oneshot;

use super::{InvokeError, Opened, deadline_passed};
use crate::catalog::Function;
use crate::ffi::Reply;
use crate::pool::{CallError, Pool, Request, Ticket};

/// Leaves the call to the pool: whoever waits may go at any time, and the call has to end in good order.
pub(super) async fn run(pool: Arc<Pool>, opened: Opened) -> Result<Reply<Body>, InvokeError> {
    let Opened { parts, body, permit, begin, deadline } = opened;
    let function = Arc::clone(&parts.function);
    let ticket = Arc::new(Ticket::default());
    let mut waiter = Waiter(Some(Arc::clone(&ticket)));
    let (answer, mut wait) = oneshot::channel();
    pool.submit(Request { parts, body, ticket, begin, deadline, permit, answer });
    let answer = match tokio::time::timeout_at(deadline.into(), &mut wait).await {
        Ok(answer) => answer,
        Err(_) => {
            // Where it is being made, its worker is ended now.
            pool.expire();
            wait.await
        }
    };
    // A body that is still being made is abandoned by who takes it.
    waiter.0 = None;
    match answer {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => {
            if !matches!(error, CallError::Reply(_) | CallError::Deadline) {
                function.stats.errors.inc();
            }
            Err(invoke_error(error, &function))
        }
        Err(_) => Err(InvokeError::Lost),
    }
}

/// The same, in the words of this stage.
pub(super) fn invoke_error(error: CallError, function: &Function) -> InvokeError {
    match error {
        CallError::Resting { again } => InvokeError::Resting { again },
        CallError::NotStarted(reason) => InvokeError::NotStarted(reason),
        CallError::Crashed(what) => InvokeError::Crashed(what),
        CallError::Reply(error) => InvokeError::Reply(error),
        CallError::Deadline => deadline_passed(function, 0),
        // Nobody is told.
        CallError::Abandoned => InvokeError::Lost,
    }
}

/// The side that waits; the call is told when it goes.
struct Waiter(Option<Arc<Ticket>>);

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(ticket) = &self.0 {
            ticket.abandon();
        }
    }
}
