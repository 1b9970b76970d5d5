//! Ids of requests: the client's where it sent a usable one, else our own.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use http::{HeaderValue, Request};
use tower::{Layer, Service};
use tower_http::request_id::{MakeRequestId, RequestId};

use crate::respond::REQUEST_ID;

/// Longer ids are not taken from a client: they stand in every log line.
const MAX_LENGTH: usize = 128;

/// Makes ids: a number that is the process's own and random, and a counter.
#[derive(Clone, Debug)]
pub(crate) struct MakeId {
    process: u64,
    counter: Arc<AtomicU64>,
}

impl Default for MakeId {
    fn default() -> Self {
        // std's hasher keys are random, and no more is asked of an id than to be unlike any other.
        Self { process: RandomState::new().hash_one(std::process::id()), counter: Arc::default() }
    }
}

impl MakeRequestId for MakeId {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let id = format!("{:016x}{count:016x}", self.process);
        HeaderValue::from_maybe_shared(bytes::Bytes::from(id)).ok().map(RequestId::new)
    }
}

/// Removes a client's id that is empty, too long, repeated or not visible ASCII.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ValidIdLayer;

impl<S> Layer<S> for ValidIdLayer {
    type Service = ValidId<S>;

    fn layer(&self, inner: S) -> ValidId<S> {
        ValidId { inner }
    }
}

/// See [`ValidIdLayer`].
#[derive(Clone, Debug)]
pub(crate) struct ValidId<S> {
    inner: S,
}

impl<S, B> Service<Request<B>> for ValidId<S>
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
        let usable = match (ids.next(), ids.next()) {
            (None, _) => true,
            (Some(id), None) => is_usable(id),
            _ => false,
        };
        if !usable {
            request.headers_mut().remove(REQUEST_ID);
        }
        self.inner.call(request)
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
        let mut make = MakeId::default();
        let request = Request::new(());
        let mut ids: Vec<_> =
            (0..1000).map(|_| make.make_request_id(&request).expect("an id").into_header_value()).collect();
        ids.sort();
        ids.dedup();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(is_usable));
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
