//! Arrive: what every stage is given. A request as it came, whose it is, since when, and the id that it goes by.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use hyper::body::{Body as _, Incoming};

use crate::serve::Peer;

/// Carries the request's id, in both directions.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Longer ids are not taken from a client: they stand in every log line.
const MAX_LENGTH: usize = 128;

/// A request on its way down the stack.
#[derive(Debug)]
pub(crate) struct Arrived {
    /// In a box: moving it from stage to stage would cost more.
    pub(crate) head: Box<Head>,
    pub(crate) body: Body,
}

/// All that is known of a request before its body is read.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) parts: Parts,
    /// The client's id where it sent a usable one, else our own: not empty, not too long, visible ASCII. It is not
    /// among the headers, where an unusable one may still stand.
    pub(crate) id: HeaderValue,
    pub(crate) peer: Arc<Peer>,
    pub(crate) since: Instant,
}

impl Arrived {
    pub(crate) fn new(request: Request<Incoming>, peer: Arc<Peer>, ids: &Ids) -> Self {
        let (parts, body) = request.into_parts();
        let body = if body.is_end_stream() { Body::empty() } else { Body::new(body) };
        let id = ids.of(&parts.headers);
        Self { head: Box::new(Head { parts, id, peer, since: Instant::now() }), body }
    }

    /// The same for services of others, with the peer as an extension.
    pub(crate) fn into_http(self) -> Request<Body> {
        let Head { parts, peer, .. } = *self.head;
        let mut request = Request::from_parts(parts, self.body);
        request.extensions_mut().insert(peer);
        request
    }
}

impl Head {
    /// The request's id.
    pub(crate) fn id(&self) -> &str {
        self.id.to_str().unwrap_or_default()
    }
}

/// Gives requests their ids: a number that is the process's own and random, and a counter.
#[derive(Debug)]
pub(crate) struct Ids {
    process: [u8; 16],
    counter: AtomicU64,
}

impl Default for Ids {
    fn default() -> Self {
        // std's hasher keys are random, and no more is asked of an id than to be unlike any other.
        Self { process: hex(RandomState::new().hash_one(std::process::id())), counter: AtomicU64::new(0) }
    }
}

impl Ids {
    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        // Looking at the names of a few headers costs less than hashing one.
        let mut sent = headers.iter().filter(|(name, _)| *name == REQUEST_ID).map(|(_, value)| value);
        match (sent.next(), sent.next()) {
            (Some(id), None) if is_usable(id) => id.clone(),
            _ => self.make(),
        }
    }

    fn make(&self) -> HeaderValue {
        let mut id = [0; 32];
        id[..16].copy_from_slice(&self.process);
        id[16..].copy_from_slice(&hex(self.counter.fetch_add(1, Ordering::Relaxed)));
        // Counted from the start: the answer gets it too. Hex digits are always a value.
        HeaderValue::from_maybe_shared(Bytes::from_owner(id)).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// All 16 digits. `format!` takes ten times as long, for each request.
fn hex(number: u64) -> [u8; 16] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [0; 16];
    for (pair, byte) in text.chunks_exact_mut(2).zip(number.to_be_bytes()) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
    text
}

fn is_usable(id: &HeaderValue) -> bool {
    (1..=MAX_LENGTH).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_repeated() {
        let ids = Ids::default();
        let mut made: Vec<_> = (0..1000).map(|_| ids.of(&HeaderMap::new())).collect();
        made.sort();
        made.dedup();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(is_usable));
    }

    #[test]
    fn hex_has_all_its_digits() {
        for number in [0, 0x0123_4567_89ab_cdef, u64::MAX] {
            assert_eq!(str::from_utf8(&hex(number)), Ok(&*format!("{number:016x}")));
        }
    }

    #[test]
    fn a_usable_id_is_kept_and_no_other() {
        let ids = Ids::default();
        let of = |sent: &[&str]| {
            let mut headers = HeaderMap::new();
            for id in sent {
                headers.append(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            }
            ids.of(&headers)
        };
        assert_eq!(of(&["mine"]), "mine");
        for unusable in [&["a", "b"][..], &[""], &["with space"], &[&"x".repeat(129)]] {
            assert_eq!(of(unusable).len(), 32, "{unusable:?}");
        }
    }
}
