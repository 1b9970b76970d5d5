//! A call that is not pipelined, since its body is long or streamed: it has the connection to itself.

use std::time::Instant;

use bytes::Bytes;
use fezz_runtime::ffi::{CallBody, RequestSource};
use tokio::time::timeout_at;

use crate::host::call::PendingCall;
use crate::host::frame_reader::{ExchangeError, Response};
use crate::host::pipeline::InFlightCall;

use super::failure::Failure;
use super::upload::Upload;
use super::{Driver, time_left};

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
        let answered = self.await_answer(id).await?;
        let upload = if matches!(answered, Ok(Response::Streams(_))) {
            Some(upload)
        } else {
            // The connection needs its writer for the next call.
            upload.end(&mut self.connection).await?;
            None
        };
        self.deliver(id, answered, upload).await
    }
}
