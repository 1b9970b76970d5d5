//! A request's body that is sent while the function works, and the answer that may come before its end.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::slot::{Answered, ExchangeError, Sink, Slot};
use crate::invoke::BodyReader;

/// The body that is still being sent, in a task of its own.
#[derive(Debug)]
pub(super) struct Upload {
    task: JoinHandle<(Sink, Result<(), ExchangeError>)>,
    stop: Arc<Notify>,
}

impl Upload {
    fn start(mut sink: Sink, body: BodyReader, id: u32) -> Self {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let sent = sink.body(body, id, &stopped).await;
            (sink, sent)
        });
        Self { task, stop }
    }

    /// Ends the body where it is, between two frames, and gives the slot its way to the worker back.
    pub(super) async fn end(self, slot: &mut Slot) -> Result<(), ExchangeError> {
        self.stop.notify_one();
        let (sink, sent) = self.task.await.map_err(|error| ExchangeError::Gone(error.into()))?;
        slot.sink = Some(sink);
        sent
    }
}

/// Sends the body and waits for the answer; the error is none at the deadline. Where the answer comes in pieces, the
/// body may still be on its way.
pub(super) async fn with_body(
    slot: &mut Slot,
    body: BodyReader,
    id: u32,
    deadline: Instant,
) -> Result<(Answered, Option<Upload>), Option<ExchangeError>> {
    let sink = slot.sink.take().ok_or(Some(ExchangeError::Closed))?;
    let upload = Upload::start(sink, body, id);
    let answered =
        tokio::time::timeout_at(deadline.into(), slot.frames.answer(id)).await.map_err(|_| None)?;
    match answered {
        Ok(Answered::Streams(reply)) => Ok((Answered::Streams(reply), Some(upload))),
        // The worker is there, and will be for the next call.
        Ok(Answered::Whole(_)) | Err(ExchangeError::Reply(_)) => {
            upload.end(slot).await.map_err(Some)?;
            answered.map(|answered| (answered, None)).map_err(Some)
        }
        Err(error) => Err(Some(error)),
    }
}
