//! The C response struct of a function, released exactly once.

use std::any::Any;
use std::sync::Arc;

use fezz_abi::{FezzResponse, FezzSlice, FezzStream};

/// Keeps a function loaded: it is not shut down while this is held.
pub type Keep = Arc<dyn Any + Send + Sync>;

/// A function's response, unchecked. Dropping it releases the function's memory.
#[derive(Debug)]
pub struct RawReply(pub(super) FezzResponse);

// SAFETY: the contract lets the response be read and released from any thread.
unsafe impl Send for RawReply {}
// SAFETY: shared use only reads.
unsafe impl Sync for RawReply {}

impl RawReply {
    pub(super) const fn new(response: FezzResponse) -> Self {
        Self(response)
    }

    /// The body as a stream, if it is one.
    pub(super) fn stream(&self) -> Option<&FezzStream> {
        // SAFETY: null, or valid until the release.
        unsafe { self.0.stream.as_ref() }
    }

    /// Bytes of the response, which stay valid as long as `self`.
    pub(super) fn bytes(&self, slice: FezzSlice) -> &[u8] {
        // SAFETY: the function keeps the bytes valid until the release, which is in the drop of `self`.
        unsafe { slice.as_bytes() }
    }
}

impl Drop for RawReply {
    fn drop(&mut self) {
        if let Some(release) = self.0.release {
            // SAFETY: called once, with the context that belongs to it.
            unsafe { release(self.0.ctx) };
        }
    }
}
