//! A request from the host, as the source of a call.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use fezz_runtime::ffi::RequestSource;
use fezz_runtime::sys::Shared;

use crate::protocol::WireRequest;

/// A decoded request, and the host's cancellation flags.
#[derive(Debug)]
pub(super) struct WorkerRequest {
    wire: WireRequest,
    /// The call's number on its connection.
    id: u32,
    cancelled: Arc<Shared>,
}

impl WorkerRequest {
    pub(super) const fn new(wire: WireRequest, id: u32, cancelled: Arc<Shared>) -> Self {
        Self { wire, id, cancelled }
    }

    /// Time until the deadline; `None` without a deadline.
    pub(super) fn time_left(&self) -> Option<Duration> {
        (self.wire.time_left_ns != 0).then(|| Duration::from_nanos(self.wire.time_left_ns))
    }
}

impl RequestSource for WorkerRequest {
    fn method(&self) -> &[u8] {
        &self.wire.method
    }

    fn path(&self) -> &[u8] {
        &self.wire.path
    }

    fn query(&self) -> &[u8] {
        &self.wire.query
    }

    fn route(&self) -> &[u8] {
        &self.wire.route
    }

    fn request_id(&self) -> &[u8] {
        &self.wire.request_id
    }

    fn traceparent(&self) -> &[u8] {
        &self.wire.traceparent
    }

    fn client_addr(&self) -> &[u8] {
        &self.wire.client_addr
    }

    fn params(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        hand_over(&self.wire.params, to);
    }

    fn headers(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        hand_over(&self.wire.headers, to);
    }

    fn max_headers(&self) -> usize {
        self.wire.headers.len()
    }

    fn cancelled(&self) -> &AtomicU32 {
        self.cancelled.word(self.id as usize)
    }

    /// The host sets the flag; this process can only read it.
    fn cancel(&self) {}
}

fn hand_over(pairs: &[(Bytes, Bytes)], to: &mut dyn FnMut(&[u8], &[u8])) {
    pairs.iter().for_each(|(name, value)| to(name, value));
}
