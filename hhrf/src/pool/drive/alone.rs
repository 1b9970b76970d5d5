//! A call that has its slot to itself: its body is long, or still on its way.

use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout_at;

use super::Drive;
use super::lost::Lost;
use super::upload::Upload;
use crate::ffi::{CallBody, CallParts};
use crate::pool::call::Request;
use crate::pool::line::Sent;
use crate::pool::slot::{Answered, ExchangeError};

impl Drive {
    /// Makes this call while there is no other.
    pub(super) async fn alone(&mut self, mut request: Request) -> Result<(), Lost> {
        let (id, worker) = (self.slot.next_id(), &self.slot.worker);
        if let Err(abandoned) = request.ticket.begin(worker, id) {
            self.finish(request, Err(abandoned));
            return Ok(());
        }
        worker.claims.assign(id);
        worker.begin(self.slot.index, id, request.parts.head.id.clone());
        let body = std::mem::replace(&mut request.body, CallBody::Whole(Bytes::new()));
        let whole = match &body {
            CallBody::Whole(body) => Some(body.clone()),
            CallBody::Stream(_) => None,
        };
        let sent = self.send_alone(&request.parts, whole, id, request.deadline).await;
        if matches!(sent, Err(Lost::Broken(ExchangeError::Unsent))) {
            self.give_back(vec![Request { body, ..request }]);
            return sent;
        }
        self.line.push(Sent { id, bytes: 0, deadline: request.deadline, request: Some(request) });
        sent?;
        match body {
            CallBody::Whole(_) => self.answer().await,
            CallBody::Stream(body) => {
                let sink = self.slot.sink.take().ok_or(ExchangeError::Closed)?;
                self.answer_with(Upload::start(sink, body, id), id).await
            }
        }
    }

    async fn send_alone(
        &mut self,
        parts: &CallParts,
        body: Option<Bytes>,
        id: u32,
        deadline: Instant,
    ) -> Result<(), Lost> {
        let sink = self.slot.sink.as_mut().ok_or(ExchangeError::Closed)?;
        let sent = timeout_at(deadline.into(), sink.request(parts, body.as_ref(), id)).await;
        Ok(sent.map_err(|_| Lost::Deadline)??)
    }

    /// Waits for the answer while the body is sent. Where it comes in pieces, the body may go on meanwhile.
    async fn answer_with(&mut self, upload: Upload, id: u32) -> Result<(), Lost> {
        let answered = self.wait(id).await?;
        let upload = if matches!(answered, Ok(Answered::Streams(_))) {
            Some(upload)
        } else {
            // The worker is there, and will be for the next call.
            upload.end(&mut self.slot).await?;
            None
        };
        self.pass(id, answered, upload).await
    }
}
