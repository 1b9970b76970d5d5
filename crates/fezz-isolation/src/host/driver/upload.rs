//! A streamed request body, sent by a task of its own: the function may answer before its end.

use std::sync::Arc;

use fezz_runtime::ffi::Pieces;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::host::connection::{Connection, FrameWriter};
use crate::host::frame_reader::ExchangeError;

/// The task that sends the body.
#[derive(Debug)]
pub(super) struct Upload {
    task: JoinHandle<(FrameWriter, Result<(), ExchangeError>)>,
    stop: Arc<Notify>,
}

impl Upload {
    pub(super) fn start(mut writer: FrameWriter, body: Box<dyn Pieces>, id: u32) -> Self {
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let sent = writer.send_body(body, id, &stopped).await;
            (writer, sent)
        });
        Self { task, stop }
    }

    /// Whether the body has been sent, or has broken off.
    pub(super) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// Has it stop after the current frame; the function hears that its body has broken off.
    pub(super) fn stop(&self) {
        self.stop.notify_one();
    }

    /// Stops after the current frame, and gives the writer back to the connection.
    pub(super) async fn end(self, connection: &mut Connection) -> Result<(), ExchangeError> {
        self.stop();
        let (writer, sent) = self.task.await.map_err(|error| ExchangeError::Gone(error.into()))?;
        connection.writer = Some(writer);
        sent
    }
}
