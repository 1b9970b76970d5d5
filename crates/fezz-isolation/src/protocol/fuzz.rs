//! Checks for a fuzz target, and for replaying its corpus in tests. Compiled for this crate's tests and with the feature
//! `fuzzing`.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use bytes::Bytes;
use fezz_runtime::ffi::{Reply, RequestSource};

use super::{
    Encoder, FrameHeader, FrameKind, INLINE_BODY, STREAMED, WireRequest, WireResponse, decode_reply,
    encode_request, encode_response_head, read_frame,
};

/// Body of the fuzz target: decodes all frames in `input`, which is what one side sends to the other. Decoding stops at
/// the first violation of the protocol.
///
/// # Panics
///
/// If a frame, request or response is not the same after it was encoded and decoded again.
pub fn check(mut input: &[u8]) {
    while let Ok(Some((header, payload))) = read_frame(&mut input) {
        check_frame(header, &payload);
        match header.kind {
            FrameKind::Request => check_request(header.id, &payload),
            FrameKind::Response => check_response(header.id, payload),
            _ => {}
        }
    }
}

fn check_frame(header: FrameHeader, payload: &Bytes) {
    let mut frame = Vec::new();
    let mut encoder = Encoder::new(&mut frame, header.kind, header.id);
    encoder.rest(payload);
    encoder.finish().expect("it was not too long");
    assert_eq!(decode_one(&frame), (header, payload.clone()));
}

/// Each request has one encoding only: that of the host.
fn check_request(id: u32, payload: &Bytes) {
    let Ok(request) = WireRequest::decode(payload.clone()) else { return };
    let (length, body) = (request.body_length, request.body.clone());
    let body = match body.len() {
        0 if length == STREAMED => None,
        inline if inline as u64 == length && inline <= INLINE_BODY => Some(body),
        // The body is in further frames, or violates the protocol.
        _ => return,
    };
    if request.time_left_ns == 0 {
        // The host sends at least a nanosecond.
        return;
    }
    let time_left = Duration::from_nanos(request.time_left_ns);
    let mut frame = Vec::new();
    encode_request(&mut frame, &Source(request), time_left, body.as_ref(), id).expect("it was not too long");
    assert_eq!(decode_one(&frame).1, *payload);
}

/// A response that the host accepts is the same when it is sent again.
fn check_response(id: u32, payload: Bytes) {
    let Ok(response) = WireResponse::decode(payload) else { return };
    let (outcome, took_ns, length) = (response.outcome, response.took_ns, response.body_length);
    let body = response.body.clone();
    let Ok(reply) = decode_reply(response, body) else { return };
    let mut frame = Vec::new();
    let status = reply.status.as_u16();
    let mut encoder = encode_response_head(&mut frame, id, outcome, status, took_ns, &reply.headers, length);
    encoder.rest(&reply.body);
    encoder.finish().expect("it was not too long");
    let again = WireResponse::decode(decode_one(&frame).1).expect("it was encoded here");
    assert_eq!((again.outcome, again.took_ns, again.body_length), (outcome, took_ns, length));
    let body = again.body.clone();
    let Reply { status, headers, body } = decode_reply(again, body).expect("it was accepted before");
    assert_eq!((status, headers, body), (reply.status, reply.headers, reply.body));
}

/// The only frame in these bytes.
fn decode_one(mut frame: &[u8]) -> (FrameHeader, Bytes) {
    let decoded = read_frame(&mut frame).expect("a valid frame").expect("a frame");
    assert!(frame.is_empty(), "{} bytes follow", frame.len());
    decoded
}

/// A decoded request as the source of a call.
#[derive(Debug)]
struct Source(WireRequest);

impl RequestSource for Source {
    fn method(&self) -> &[u8] {
        &self.0.method
    }

    fn path(&self) -> &[u8] {
        &self.0.path
    }

    fn query(&self) -> &[u8] {
        &self.0.query
    }

    fn route(&self) -> &[u8] {
        &self.0.route
    }

    fn request_id(&self) -> &[u8] {
        &self.0.request_id
    }

    fn traceparent(&self) -> &[u8] {
        &self.0.traceparent
    }

    fn client_addr(&self) -> &[u8] {
        &self.0.client_addr
    }

    fn http_version(&self) -> u32 {
        self.0.http_version
    }

    fn flags(&self) -> u32 {
        self.0.flags
    }

    fn scheme(&self) -> &[u8] {
        &self.0.scheme
    }

    fn authority(&self) -> &[u8] {
        &self.0.authority
    }

    fn upgrade(&self) -> &[u8] {
        &self.0.upgrade
    }

    fn params(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.params.iter().for_each(|(name, value)| to(name, value));
    }

    fn headers(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.headers.iter().for_each(|(name, value)| to(name, value));
    }

    fn trailers(&self, to: &mut dyn FnMut(&[u8], &[u8])) {
        self.0.trailers.iter().for_each(|(name, value)| to(name, value));
    }

    fn max_headers(&self) -> usize {
        self.0.headers.len()
    }

    fn cancelled(&self) -> &AtomicU32 {
        static NEVER: AtomicU32 = AtomicU32::new(0);
        &NEVER
    }
}

#[cfg(test)]
#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_passes_all_checks() {
        replay::replay("worker_frames", check);
    }

    /// Else they would test nothing but the refusal.
    #[test]
    fn the_requests_of_the_corpus_have_the_format_of_today() {
        let seeds: [&[u8]; 3] = [
            include_bytes!("../../../../fuzz/corpus/worker_frames/request"),
            include_bytes!("../../../../fuzz/corpus/worker_frames/request_with_body"),
            include_bytes!("../../../../fuzz/corpus/worker_frames/request_streamed"),
        ];
        for mut seed in seeds {
            let (_, payload) = read_frame(&mut seed).unwrap().unwrap();
            assert!(WireRequest::decode(payload).is_ok());
        }
    }
}
