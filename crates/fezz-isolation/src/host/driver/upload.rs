//! A call's body that is sent while the function works, which may answer before its end.

use std::sync::Arc;

use fezz_runtime::ffi::Pieces;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::host::connection::{Connection, FrameWriter};
use crate::host::frame_reader::ExchangeError;

/// The body that is still being sent, in a task of its own.
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
            let sent = writer.body(body, id, &stopped).await;
            (writer, sent)
        });
        Self { task, stop }
    }

    /// Ends the body where it is, between two frames, and gives the connection its way to the worker back.
    pub(super) async fn end(self, connection: &mut Connection) -> Result<(), ExchangeError> {
        self.stop.notify_one();
        let (writer, sent) = self.task.await.map_err(|error| ExchangeError::Gone(error.into()))?;
        connection.writer = Some(writer);
        sent
    }
}
