//! A call that is not pipelined, since its body is long or streamed: it has the connection to itself.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fezz_runtime::ffi::{CallBody, ReplyError, RequestSource};
use tokio::time::{timeout, timeout_at};

use crate::host::call::{CallError, PendingCall};
use crate::host::connection::Connection;
use crate::host::frame_reader::{ExchangeError, Response};
use crate::host::pipeline::InFlightCall;
use crate::protocol::CANCELLED;

use super::failure::Failure;
use super::upload::Upload;
use super::{Driver, time_left};

/// Time limit for a function to end a call whose deadline has passed while its body was still being sent. Its worker may
/// have other calls, which are not to blame for a slow client.
const LATE_UPLOAD: Duration = Duration::from_secs(2);

impl Driver {
    /// Makes this call while no other is in flight on the connection.
    pub(super) async fn make_exclusive(&mut self, mut call: PendingCall) -> Result<(), Failure> {
        let (id, worker) = (self.connection.next_id(), &self.connection.worker);
        if let Err(abandoned) = call.handle.attach(worker, id) {
            self.finish(call, Err(abandoned));
            return Ok(());
        }
        worker.claims.assign(id);
        worker.call_sent(self.connection.index, id, call.request_id.clone());
        let body = std::mem::replace(&mut call.body, CallBody::Whole(Bytes::new()));
        let whole = match &body {
            CallBody::Whole(body) => Some(body.clone()),
            CallBody::Stream(_) => None,
        };
        let sent = self.send_exclusive(&*call.source, whole, id, call.deadline).await;
        if matches!(sent, Err(Failure::Broken(ExchangeError::Unsent))) {
            self.requeue(vec![PendingCall { body, ..call }]);
            return sent;
        }
        self.pipeline.push(InFlightCall { id, bytes: 0, deadline: call.deadline, call: Some(call) });
        sent?;
        match body {
            CallBody::Whole(_) => self.receive_answer().await,
            CallBody::Stream(body) => {
                let writer = self.connection.writer.take().ok_or(ExchangeError::Closed)?;
                self.receive_answer_during(Upload::start(writer, body, id), id).await
            }
        }
    }

    async fn send_exclusive(
        &mut self,
        source: &dyn RequestSource,
        body: Option<Bytes>,
        id: u32,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let writer = self.connection.writer.as_mut().ok_or(ExchangeError::Closed)?;
        let sent =
            timeout_at(deadline.into(), writer.send_request(source, time_left(deadline), body.as_ref(), id))
                .await;
        Ok(sent.map_err(|_| Failure::Deadline)??)
    }

    /// Waits for the answer while the body is sent. With a streamed reply, the upload may go on.
    async fn receive_answer_during(&mut self, upload: Upload, id: u32) -> Result<(), Failure> {
        let Some(answered) = self.await_answer_during(&upload, id).await? else {
            return self.end_late(upload).await;
        };
        let upload = if matches!(answered, Ok(Response::Streams(..))) {
            Some(upload)
        } else {
            // The connection needs its writer for the next call.
            upload.end(&mut self.connection).await?;
            None
        };
        self.deliver(id, answered, upload).await
    }

    /// The answer. None if the deadline passed before it: the caller has been told then, and the function has ended its
    /// call since its body broke off.
    async fn await_answer_during(
        &mut self,
        upload: &Upload,
        id: u32,
    ) -> Result<Option<Result<Response, ReplyError>>, Failure> {
        let Some(InFlightCall { deadline, call: Some(call), .. }) = self.pipeline.first() else {
            return Err(Failure::Ended);
        };
        let (deadline, limit) = (*deadline, call.max_response);
        let Self { inner, connection: Connection { reader, worker, .. }, pipeline, finished, .. } = self;
        let late = {
            let memory = &inner.context.options.response_memory;
            let mut answer = pin!(reader.read_response(id, limit, memory));
            if let Ok(answered) = timeout_at(deadline.into(), &mut answer).await {
                return match answered {
                    Ok(answered) => Ok(Some(Ok(answered))),
                    Err(ExchangeError::Reply(error)) => Ok(Some(Err(error))),
                    Err(error) => Err(error.into()),
                };
            }
            if upload.is_finished() {
                return Err(Failure::Deadline);
            }
            upload.stop();
            worker.flag(id).store(CANCELLED, Ordering::Relaxed);
            if let Some(call) = pipeline.take_first() {
                inner.spec.observer.call_ended(call.begin.elapsed(), None);
                finished.count += 1;
                call.finish(Err(CallError::Deadline));
            }
            timeout(LATE_UPLOAD, answer).await.map_err(|_| Failure::Deadline)?
        };
        match late {
            Ok(Response::Streams(..)) => {
                let rest = timeout(LATE_UPLOAD, reader.discard_body(id)).await;
                rest.map_err(|_| Failure::Deadline)??;
            }
            Ok(_) | Err(ExchangeError::Reply(_)) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(None)
    }

    /// The function has ended a call whose caller was told before.
    async fn end_late(&mut self, upload: Upload) -> Result<(), Failure> {
        self.pipeline.pop();
        self.connection.worker.call_ended(self.connection.index);
        upload.end(&mut self.connection).await?;
        Ok(())
    }
}
