//! A call of an isolated function, in one of its worker processes.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use fezz_isolation::host::{CallError as WorkerError, CallHandle, PendingCall, Pool, WorkerBody};
use fezz_runtime::ffi::{CallBody, Reply, ReplyError};
use http::{HeaderValue, StatusCode};
use http_body::Body as _;
use tokio::sync::oneshot;

use super::concurrency::Permit;
use super::upgrade::{Running, without_length};
use super::{CallError, CallRequest, deadline_passed, length};
use crate::function::Function;

/// Leaves the call to the pool: the caller may go at any time, and the call still has to end properly.
pub(super) async fn run(
    pool: Arc<Pool>,
    mut request: CallRequest,
    mut body: CallBody,
) -> Result<Reply<Body>, CallError> {
    let function = Arc::clone(&request.function);
    let deadline = Instant::now() + function.limits.timeout;
    if request.permit.is_none() {
        request.permit = Some(Permit::acquire(&function, deadline).await?);
    }
    // An upgraded connection keeps no permit, and its stream comes in place of the body, which is empty.
    let (mut upgrade, mut permit) = (None, None);
    if let Some((pieces, taken)) = request.upgrade.as_mut().and_then(|upgrade| upgrade.take()) {
        (upgrade, permit) = (Some(taken), request.permit.take());
        body = CallBody::Stream(pieces);
    }
    let begin = Instant::now();
    let handle = Arc::new(CallHandle::default());
    let mut waiter = Waiter(Some(Arc::clone(&handle)));
    let (answer, mut wait) = oneshot::channel();
    let request_id = request.head.id.clone();
    let id = request_id.clone();
    let progress = request.body_progress.clone();
    let source = Box::new(request);
    let max_response = function.limits.max_response_bytes;
    pool.submit(PendingCall {
        source,
        request_id,
        body,
        handle: Arc::clone(&handle),
        begin,
        deadline,
        max_response,
        answer,
    });
    let answer = match tokio::time::timeout_at(deadline.into(), &mut wait).await {
        Ok(answer) => answer,
        Err(_) => {
            // If it has begun, its worker is ended now.
            pool.expire();
            wait.await
        }
    };
    // From here on the answer's body cancels the call when it is dropped.
    waiter.0 = None;
    progress.map_or(Ok(()), |progress| progress.answered())?;
    match answer {
        Ok(Ok(reply)) if reply.status == StatusCode::SWITCHING_PROTOCOLS => {
            drop(permit);
            let upgrade = upgrade.filter(|_| matches!(reply.body, WorkerBody::Stream(_)));
            let upgrade = upgrade.ok_or(ReplyError::NotOffered)?;
            let reply = into_body(without_length(reply), &function, &id)?;
            Ok(upgrade.switch(reply, Running::Worker(handle), id, pool))
        }
        Ok(Ok(reply)) => Ok(into_body(reply, &function, &id)?),
        Ok(Err(error)) => {
            if !matches!(error, WorkerError::Reply(_) | WorkerError::Deadline | WorkerError::NotBegun) {
                function.stats.errors.inc();
            }
            Err(call_error(error, &function))
        }
        Err(_) => Err(CallError::Lost),
    }
}

fn into_body(
    reply: Reply<WorkerBody>,
    function: &Arc<Function>,
    request_id: &HeaderValue,
) -> Result<Reply<Body>, ReplyError> {
    let Reply { status, mut headers, body } = reply;
    let body = match body {
        WorkerBody::Whole(data) if data.is_empty() => Body::empty(),
        WorkerBody::Whole(data) => Body::from(data),
        // A whole body that is relayed: its length is known.
        WorkerBody::Stream(stream) if stream.size_hint().exact().is_some() => Body::new(stream),
        WorkerBody::Stream(stream) => length::held(&mut headers, stream, function, request_id)?,
    };
    Ok(Reply { status, headers, body })
}

/// The pool's error as one of this stage.
pub(super) fn call_error(error: WorkerError, function: &Function) -> CallError {
    match error {
        WorkerError::CircuitOpen { retry_after } => CallError::Resting { again: retry_after },
        WorkerError::NotStarted(reason) => CallError::NotStarted(reason),
        WorkerError::Crashed(what) => CallError::Crashed(what),
        WorkerError::Reply(error) => CallError::Reply(error),
        WorkerError::Deadline => deadline_passed(function, 0),
        WorkerError::NotBegun => CallError::NoWorker,
        // The caller has gone, and does not see this.
        WorkerError::Abandoned => CallError::Lost,
    }
}

/// The waiting side. Dropping it cancels the call.
struct Waiter(Option<Arc<CallHandle>>);

impl Drop for Waiter {
    fn drop(&mut self) {
        if let Some(handle) = &self.0 {
            handle.abandon();
        }
    }
}
