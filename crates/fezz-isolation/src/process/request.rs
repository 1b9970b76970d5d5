//! A request from the host, as the source of a call.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use fezz_runtime::ffi::{Pieces, RequestSource};
use fezz_runtime::sys::Shared;

use super::body::BodyReceiver;
use crate::protocol::WireRequest;

/// A decoded request, and the host's cancellation flags.
#[derive(Debug)]
pub(super) struct WorkerRequest {
    wire: WireRequest,
    /// The call's number on its connection.
    id: u32,
    cancelled: Arc<Shared>,
    /// What the client sends after the upgrade on offer.
    upgraded: Option<BodyReceiver>,
}

impl WorkerRequest {
    pub(super) const fn new(wire: WireRequest, id: u32, cancelled: Arc<Shared>) -> Self {
        Self { wire, id, cancelled, upgraded: None }
    }

    /// The same, with an upgrade on offer.
    pub(super) fn with_upgraded(mut self, upgraded: BodyReceiver) -> Self {
        self.upgraded = Some(upgraded);
        self
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

    fn http_version(&self) -> u32 {
        self.wire.http_version
    }

    fn flags(&self) -> u32 {
        self.wire.flags
    }

    fn scheme(&self) -> &[u8] {
        &self.wire.scheme
    }

    fn authority(&self) -> &[u8] {
        &self.wire.authority
    }

    fn upgrade(&self) -> &[u8] {
        &self.wire.upgrade
    }

    fn take_upgraded(&mut self) -> Option<Box<dyn Pieces>> {
        Some(Box::new(self.upgraded.take()?))
    }

    fn params(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        hand_over(&self.wire.params, to);
    }

    fn headers(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        hand_over(&self.wire.headers, to);
    }

    fn trailers(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        hand_over(&self.wire.trailers, to);
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

#[cfg(test)]
mod tests {
    use std::io;

    use http::HeaderMap;

    use super::*;
    use crate::protocol::{
        Encoder, FrameKind, Outcome, STREAMED, WireResponse, encode_request, encode_response_head, read_frame,
    };

    fn request() -> WorkerRequest {
        let pair = |name: &'static str, value: &'static [u8]| (Bytes::from(name), Bytes::from(value));
        let wire = WireRequest {
            method: "POST".into(),
            path: "/todos/7".into(),
            query: "page=2".into(),
            route: "/todos/{id}".into(),
            request_id: "an-id".into(),
            traceparent: Bytes::new(),
            client_addr: "127.0.0.1:51234".into(),
            http_version: 20,
            flags: 1,
            scheme: "http".into(),
            authority: "example.com:80".into(),
            upgrade: "websocket".into(),
            time_left_ns: 0,
            params: vec![pair("id", b"7")],
            headers: vec![pair("accept", b"*/*"), pair("x-bytes", b"\xff\0"), pair("x-empty", b"")],
            trailers: vec![pair("x-checksum", b"1")],
            body_length: 0,
            body: Bytes::new(),
        };
        WorkerRequest::new(wire, 3, Arc::new(Shared::create("test", 4096).unwrap().0))
    }

    fn encode(body: Option<&Bytes>) -> Vec<u8> {
        let mut frames = Vec::new();
        encode_request(&mut frames, &request(), Duration::from_millis(5), body, 3).unwrap();
        frames
    }

    fn decode(frames: &[u8]) -> WorkerRequest {
        let (header, payload) = read_frame(&mut &*frames).unwrap().unwrap();
        assert_eq!((header.kind, header.id), (FrameKind::Request, 3));
        WorkerRequest { wire: WireRequest::decode(payload).unwrap(), ..request() }
    }

    /// Decodes all frames in these bytes, and requests and responses to their last value; returns the number of frames.
    ///
    /// # Errors
    /// The first violation of the protocol, as the cause of an [`io::Error`]; `UnexpectedEof` for a truncated frame.
    fn decode_frames(mut bytes: &[u8]) -> io::Result<usize> {
        let mut frames = 0;
        while let Some((header, payload)) = read_frame(&mut bytes)? {
            match header.kind {
                FrameKind::Request => _ = WireRequest::decode(payload).map_err(io::Error::other)?,
                FrameKind::Response => _ = WireResponse::decode(payload).map_err(io::Error::other)?,
                _ => {}
            }
            frames += 1;
        }
        Ok(frames)
    }

    #[test]
    fn the_worker_decodes_what_the_host_has_encoded() {
        let (sent, body) = (request(), Bytes::from("a body"));
        let received = decode(&encode(Some(&body)));
        assert_eq!((received.method(), received.path()), (sent.method(), sent.path()));
        assert_eq!((received.query(), received.route()), (sent.query(), sent.route()));
        assert_eq!((received.request_id(), received.traceparent()), (sent.request_id(), sent.traceparent()));
        assert_eq!(received.client_addr(), sent.client_addr());
        assert_eq!((received.http_version(), received.flags()), (20, 1));
        assert_eq!((received.scheme(), received.authority()), (sent.scheme(), sent.authority()));
        assert_eq!(received.wire.trailers, sent.wire.trailers);
        assert_eq!(received.wire.params, sent.wire.params);
        assert_eq!(received.wire.headers, sent.wire.headers);
        assert_eq!(received.max_headers(), 3);
        assert_eq!(received.time_left(), Some(Duration::from_millis(5)));
        assert_eq!((received.wire.body_length, received.wire.body), (6, body));
    }

    #[test]
    fn a_streamed_body_has_no_length() {
        let received = decode(&encode(None));
        assert_eq!((received.wire.body_length, received.wire.body), (STREAMED, Bytes::new()));
    }

    #[test]
    fn truncated_frames_are_refused() {
        let mut frames = encode(Some(&Bytes::from("a body")));
        let first = frames.len();
        let headers = HeaderMap::from_iter([(http::header::AGE, http::HeaderValue::from_static("1"))]);
        encode_response_head(&mut frames, 3, Outcome::Answered, 200, 7, &headers, 0).finish().unwrap();
        for cut in 0..=frames.len() {
            let whole = [0, first, frames.len()].into_iter().position(|end| end == cut);
            assert_eq!(decode_frames(&frames[..cut]).ok(), whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_truncated_payload_is_refused() {
        let whole = encode(None);
        let (_, payload) = read_frame(&mut &*whole).unwrap().unwrap();
        for cut in 0..payload.len() {
            let mut frame = Vec::new();
            let mut encoder = Encoder::new(&mut frame, FrameKind::Request, 3);
            encoder.rest(&payload[..cut]);
            encoder.finish().unwrap();
            assert!(decode_frames(&frame).is_err(), "cut at {cut}");
        }
    }
}
