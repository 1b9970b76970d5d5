//! A request as it was received: its id, its peer, and when it came.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use http::header::SEC_WEBSOCKET_KEY;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, Method, Request, Version};
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;

use super::hop_by_hop;
use super::peer::Peer;
use crate::call::{Head, Offer, REQUEST_ID};

/// A client's id that is longer is replaced: it stands in every log line.
const MAX_ID_LENGTH: usize = 128;

/// What is known of a request when it arrives; an extension of it, for the layers of others.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) peer: Arc<Peer>,
    /// The client's id if it sent a usable one, else a new one: visible ASCII of limited length.
    pub(crate) id: HeaderValue,
    pub(crate) since: Instant,
}

/// A request on its way down the stack.
#[derive(Debug)]
pub(super) struct Received {
    /// In a box: moving it from stage to stage would cost more.
    pub(super) head: Box<Head>,
    pub(super) body: Body,
    pub(super) peer: Arc<Peer>,
}

impl Received {
    /// Strips the hop-by-hop headers, here and nowhere else. None without an [`Arrival`].
    pub(super) fn new(request: Request<Body>) -> Option<Self> {
        let (mut parts, body) = request.into_parts();
        let mut extensions = std::mem::take(&mut parts.extensions);
        let Arrival { peer, id, since } = extensions.remove()?;
        let offer = match hop_by_hop::strip(&mut parts.headers) {
            Some(protocol) => extensions.remove().and_then(|on_upgrade| peer.offer(protocol, on_upgrade)),
            None if parts.method == Method::CONNECT => extended_connect(&mut parts, &mut extensions, &peer),
            None => None,
        };
        peer.keep_extensions(extensions);
        let client_addr = Arc::clone(peer.address());
        Some(Self { head: Box::new(Head { parts, id, client_addr, since, offer }), body, peer })
    }
}

/// What a WebSocket client of HTTP/2 asks for (RFC 8441), as if it had asked on HTTP/1.1: applications know that form, and
/// its routes are for GET. It has no key there, so that one is made up; no client sees what the application makes of it.
fn extended_connect(parts: &mut Parts, extensions: &mut Extensions, peer: &Peer) -> Option<Box<Offer>> {
    const MADE_UP_KEY: HeaderValue = HeaderValue::from_static("AAAAAAAAAAAAAAAAAAAAAA==");
    let protocol = extensions.remove::<Protocol>()?;
    let on_upgrade = extensions.remove::<OnUpgrade>()?;
    if protocol.as_str() != "websocket" {
        return None;
    }
    (parts.method, parts.version) = (Method::GET, Version::HTTP_11);
    parts.headers.insert(SEC_WEBSOCKET_KEY, MADE_UP_KEY);
    peer.offer(HeaderValue::from_static("websocket"), on_upgrade)
}

/// Gives requests their ids: a random number of this process, and a counter.
#[derive(Debug)]
pub(super) struct RequestIds {
    process: [u8; 16],
    counter: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        // std's hasher keys are random; an id only has to differ from all others.
        Self { process: hex(RandomState::new().hash_one(std::process::id())), counter: AtomicU64::new(0) }
    }
}

impl RequestIds {
    /// The id that the client sent, if it is usable, or a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> HeaderValue {
        // Comparing the names of a few headers costs less than hashing one.
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
        // Reference-counted from the start, since the answer gets it too. Hex digits are always a valid value.
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
    (1..=MAX_ID_LENGTH).contains(&id.len()) && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_not_repeated() {
        let ids = RequestIds::default();
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
        let ids = RequestIds::default();
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
