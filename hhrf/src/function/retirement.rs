//! The end of a function: when nothing holds it any more, its key is sent to the cache, which evicts it.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::FunctionKey;

/// Sends the function's key when it is dropped with its function.
#[derive(Debug)]
pub(crate) struct Retirement {
    key: Arc<FunctionKey>,
    to: mpsc::UnboundedSender<Arc<FunctionKey>>,
}

impl Retirement {
    pub(crate) const fn new(key: Arc<FunctionKey>, to: mpsc::UnboundedSender<Arc<FunctionKey>>) -> Self {
        Self { key, to }
    }
}

impl Drop for Retirement {
    fn drop(&mut self) {
        // Without a receiver the host is ending, and shuts every function down by itself.
        let _ = self.to.send(Arc::clone(&self.key));
    }
}
