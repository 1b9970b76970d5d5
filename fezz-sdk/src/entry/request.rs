//! [`RequestRef`]: a counted reference to the host's request.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fezz_abi::{FezzRequest, FezzStream};

use super::{borrow, pairs, text};

/// A reference to the host's request, counted with `retain` and `release`.
#[derive(Debug)]
pub(crate) struct RequestRef(NonNull<FezzRequest>);

// SAFETY: the contract lets `retain` and `release` be called from any thread, and all else in it is immutable while
// one of them is outstanding; `cancelled` is only read atomically.
unsafe impl Send for RequestRef {}
// SAFETY: as for Send: shared use only reads.
unsafe impl Sync for RequestRef {}

impl RequestRef {
    /// A reference that is not counted: the caller keeps the request alive.
    ///
    /// # Safety
    /// `request` is null, or valid while the result is used.
    pub(super) unsafe fn borrow(request: *const FezzRequest) -> Option<ManuallyDrop<Self>> {
        NonNull::new(request.cast_mut()).map(|request| ManuallyDrop::new(Self(request)))
    }

    pub(super) const fn as_non_null(&self) -> NonNull<FezzRequest> {
        self.0
    }

    pub(super) fn get(&self) -> &FezzRequest {
        // SAFETY: retained, so valid until the drop of `self`.
        unsafe { self.0.as_ref() }
    }

    pub(crate) fn method(&self) -> &[u8] {
        borrow(self.get().method)
    }

    pub(crate) fn path(&self) -> &str {
        text(self.get().path)
    }

    pub(crate) fn query(&self) -> &str {
        text(self.get().query)
    }

    pub(crate) fn route(&self) -> &str {
        text(self.get().route)
    }

    pub(crate) fn request_id(&self) -> &str {
        text(self.get().request_id)
    }

    pub(crate) fn traceparent(&self) -> &str {
        text(self.get().traceparent)
    }

    pub(crate) fn client_addr(&self) -> &str {
        text(self.get().client_addr)
    }

    pub(crate) fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(self.get().params).iter().map(|pair| (text(pair.name), text(pair.value)))
    }

    pub(crate) fn headers(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        pairs(self.get().headers).iter().map(|pair| (borrow(pair.name), borrow(pair.value)))
    }

    pub(crate) fn time_left(&self) -> Option<Duration> {
        Some(self.get().time_left_ns).filter(|left| *left != 0).map(Duration::from_nanos)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        // SAFETY: null, or the host's flag, which lives as long as the retained request.
        let flag = unsafe { self.get().cancelled.as_ref() };
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed) != 0)
    }

    /// The body as a stream, if the function asked for one. It lives as long as `self`.
    pub(super) fn body_stream(&self) -> Option<&FezzStream> {
        // SAFETY: null, or the host's, valid as long as the retained request.
        unsafe { self.get().body_stream.as_ref() }
    }

    pub(crate) fn has_body_stream(&self) -> bool {
        !self.get().body_stream.is_null()
    }

    /// The body without a copy: the bytes keep the request alive.
    pub(crate) fn body(&self) -> Bytes {
        if self.get().body.len == 0 {
            return Bytes::new();
        }
        Bytes::from_owner(BodyOwner(self.clone()))
    }
}

impl Clone for RequestRef {
    fn clone(&self) -> Self {
        // SAFETY: retained by `self`, given to the host's own function.
        unsafe { (self.get().retain)(self.0.as_ptr()) };
        Self(self.0)
    }
}

impl Drop for RequestRef {
    fn drop(&mut self) {
        // SAFETY: drops the one reference that this value holds.
        unsafe { (self.get().release)(self.0.as_ptr()) };
    }
}

/// The body's bytes, as an owner for [`Bytes::from_owner`].
struct BodyOwner(RequestRef);

impl AsRef<[u8]> for BodyOwner {
    fn as_ref(&self) -> &[u8] {
        borrow(self.0.get().body)
    }
}
