//! Ids of requests: the client's where it sent a usable one, else our own. `Respond` sends them back.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderValue, Request};
use tower::{Layer, Service};

use crate::respond::REQUEST_ID;

/// Longer ids are not taken from a client: they stand in every log line.
const MAX_LENGTH: usize = 128;

/// Sees to it that each request has one id, which is not empty, too long, repeated or anything but visible ASCII.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestIdLayer(Arc<MakeId>);

impl<S> Layer<S> for RequestIdLayer {
    type Service = WithId<S>;

    fn layer(&self, inner: S) -> WithId<S> {
        WithId { make: Arc::clone(&self.0), inner }
    }
}

/// See [`RequestIdLayer`].
#[derive(Clone, Debug)]
pub(crate) struct WithId<S> {
    make: Arc<MakeId>,
    inner: S,
}

impl<S, B> Service<Request<B>> for WithId<S>
where
    S: Service<Request<B>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut ids = request.headers().get_all(REQUEST_ID).iter();
        let usable = matches!((ids.next(), ids.next()), (Some(id), None) if is_usable(id));
        if !usable {
            request.headers_mut().insert(REQUEST_ID, self.make.id());
        }
        self.inner.call(request)
    }
}

/// Makes ids: a number that is the process's own and random, and a counter.
#[derive(Debug)]
struct MakeId {
    process: u64,
    counter: AtomicU64,
}

impl Default for MakeId {
    fn default() -> Self {
        // std's hasher keys are random, and no more is asked of an id than to be unlike any other.
        Self { process: RandomState::new().hash_one(std::process::id()), counter: AtomicU64::new(0) }
    }
}

impl MakeId {
    fn id(&self) -> HeaderValue {
        let mut id = BytesMut::with_capacity(32);
        put_hex(&mut id, self.process);
        put_hex(&mut id, self.counter.fetch_add(1, Ordering::Relaxed));
        // Hex digits are always a value.
        HeaderValue::from_maybe_shared(Bytes::from(id)).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// All 16 digits. `format!` takes ten times as long, for each request.
fn put_hex(text: &mut BytesMut, number: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for byte in number.to_be_bytes() {
        text.put_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

fn is_usable(id: &HeaderValue) -> bool {
    (1..=MAX_LENGTH).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_repeated() {
        let make = MakeId::default();
        let mut ids: Vec<_> = (0..1000).map(|_| make.id()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(is_usable));
    }

    #[test]
    fn hex_has_all_its_digits() {
        for number in [0, 0x0123_4567_89ab_cdef, u64::MAX] {
            let mut text = BytesMut::new();
            put_hex(&mut text, number);
            assert_eq!(text, format!("{number:016x}").as_bytes());
        }
    }

    #[test]
    fn unusable_ids_are_known() {
        let long = "x".repeat(MAX_LENGTH + 1);
        for id in ["", "a b", "ü", &long] {
            let id = HeaderValue::from_bytes(id.as_bytes()).expect("a header value");
            assert!(!is_usable(&id), "{id:?}");
        }
    }
}
