//! [`RequestRef`]: a counted reference to the host's request.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use fezz_abi::{
    FezzPair, FezzPairs, FezzRequest, FezzSlice, FezzStream, HTTP_1_0, HTTP_2, REQUEST_EMPTY_QUERY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Version};

use super::{borrow, pairs, text};

/// A reference to the host's request, counted with `retain` and `release`.
#[derive(Debug)]
pub(crate) struct RequestRef(NonNull<FezzRequest>);

// SAFETY: the contract lets `retain` and `release` be called from any thread, and all else in it is immutable while
// one of them is outstanding; `cancelled` is only read atomically.
unsafe impl Send for RequestRef {}
// SAFETY: as for Send: shared use only reads.
unsafe impl Sync for RequestRef {}

/// A field of version 1.0. Read through the pointer, since an older host's struct is shorter than ours.
macro_rules! field {
    ($request:expr, $field:ident) => {{
        // SAFETY: retained, so valid until the drop of the reference; every host's struct has the field.
        unsafe { (*$request.0.as_ptr()).$field }
    }};
}

/// A field of a later minor version; `None` if the host is older than it.
macro_rules! later_field {
    ($request:expr, $field:ident: $type:ty) => {{
        let end = std::mem::offset_of!(FezzRequest, $field) + size_of::<$type>();
        (field!($request, size) >= end).then(|| -> $type {
            // SAFETY: retained as above, and the host's struct covers the field.
            unsafe { (*$request.0.as_ptr()).$field }
        })
    }};
}

impl RequestRef {
    /// A reference that is not counted: the caller keeps the request alive.
    ///
    /// # Safety
    /// `request` is null, or valid while the result is used.
    pub(super) unsafe fn borrow(request: *const FezzRequest) -> Option<ManuallyDrop<Self>> {
        NonNull::new(request.cast_mut()).map(|request| ManuallyDrop::new(Self(request)))
    }

    pub(crate) fn method(&self) -> &[u8] {
        borrow(field!(self, method))
    }

    pub(crate) fn path(&self) -> &str {
        text(field!(self, path))
    }

    pub(crate) fn query(&self) -> &str {
        text(field!(self, query))
    }

    pub(crate) fn route(&self) -> &str {
        text(field!(self, route))
    }

    pub(crate) fn request_id(&self) -> &str {
        text(field!(self, request_id))
    }

    pub(crate) fn traceparent(&self) -> &str {
        text(field!(self, traceparent))
    }

    pub(crate) fn client_addr(&self) -> &str {
        text(field!(self, client_addr))
    }

    /// The client's version of HTTP; 1.1 where the host does not say.
    pub(crate) fn version(&self) -> Version {
        match later_field!(self, http_version: u32) {
            Some(HTTP_1_0) => Version::HTTP_10,
            Some(HTTP_2) => Version::HTTP_2,
            _ => Version::HTTP_11,
        }
    }

    /// Whether the target has a `?` with nothing behind it.
    pub(crate) fn has_empty_query(&self) -> bool {
        later_field!(self, flags: u32).is_some_and(|flags| flags & REQUEST_EMPTY_QUERY != 0)
    }

    /// `http` or `https`; empty where the host does not say.
    pub(crate) fn scheme(&self) -> &str {
        later_field!(self, scheme: FezzSlice).map_or("", text)
    }

    /// The authority of the request's target; empty if it has none.
    pub(crate) fn authority(&self) -> &str {
        later_field!(self, authority: FezzSlice).map_or("", text)
    }

    pub(crate) fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        pairs(field!(self, params)).iter().map(|pair| (text(pair.name), text(pair.value)))
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        header_map(pairs(field!(self, headers)))
    }

    /// The trailers of a whole body.
    pub(crate) fn trailers(&self) -> HeaderMap {
        header_map(later_field!(self, trailers: FezzPairs).map_or(&[], pairs))
    }

    pub(crate) fn time_left(&self) -> Option<Duration> {
        Some(field!(self, time_left_ns)).filter(|left| *left != 0).map(Duration::from_nanos)
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        let flag = field!(self, cancelled);
        // SAFETY: null, or the host's flag, which lives as long as the retained request.
        let flag = unsafe { flag.as_ref() };
        flag.is_some_and(|flag| flag.load(Ordering::Relaxed) != 0)
    }

    /// The body as a stream, if the function asked for one. It lives as long as `self`.
    pub(super) fn body_stream(&self) -> Option<&FezzStream> {
        let stream = field!(self, body_stream);
        // SAFETY: null, or the host's, valid as long as the retained request.
        unsafe { stream.as_ref() }
    }

    /// The protocol of the upgrade on offer; empty if there is none.
    #[cfg(feature = "tokio")]
    pub(crate) fn upgrade(&self) -> &[u8] {
        later_field!(self, upgrade: FezzSlice).map_or(&[], borrow)
    }

    /// What the client sends after the upgrade on offer. It lives as long as `self`.
    #[cfg(feature = "tokio")]
    pub(super) fn upgraded(&self) -> Option<&FezzStream> {
        let stream = later_field!(self, upgraded: *const FezzStream)?;
        // SAFETY: null, or the host's, valid as long as the retained request.
        unsafe { stream.as_ref() }
    }

    pub(crate) fn has_body_stream(&self) -> bool {
        !field!(self, body_stream).is_null()
    }

    /// The body without a copy: the bytes keep the request alive.
    pub(crate) fn body(&self) -> Bytes {
        if field!(self, body).len == 0 {
            return Bytes::new();
        }
        Bytes::from_owner(BodyOwner(self.clone()))
    }
}

/// The host's pairs as headers. It sends none that are invalid.
pub(super) fn header_map(pairs: &[FezzPair]) -> HeaderMap {
    let mut map = HeaderMap::with_capacity(pairs.len());
    for pair in pairs {
        let (name, value) =
            (HeaderName::from_bytes(borrow(pair.name)), HeaderValue::from_bytes(borrow(pair.value)));
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
    map
}

impl Clone for RequestRef {
    fn clone(&self) -> Self {
        let retain = field!(self, retain);
        // SAFETY: retained by `self`, given to the host's own function.
        unsafe { retain(self.0.as_ptr()) };
        Self(self.0)
    }
}

impl Drop for RequestRef {
    fn drop(&mut self) {
        let release = field!(self, release);
        // SAFETY: drops the one reference that this value holds.
        unsafe { release(self.0.as_ptr()) };
    }
}

/// The body's bytes, as an owner for [`Bytes::from_owner`].
struct BodyOwner(RequestRef);

impl AsRef<[u8]> for BodyOwner {
    fn as_ref(&self) -> &[u8] {
        borrow(field!(self.0, body))
    }
}
