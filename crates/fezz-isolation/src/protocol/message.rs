//! The protocol's messages: setup, ready, log record, request, response.

use std::path::PathBuf;

use bytes::Bytes;
use fezz_runtime::ffi::{RequestBodies, trailers};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::sandbox::{Confinement, Enforced};

use super::frame::{FrameKind, ProtocolError};
use super::payload::{Decoder, Encoder};

/// The first message to a worker: what to load.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Setup {
    pub(crate) library: PathBuf,
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) data_dir: PathBuf,
    /// The folder with the files that were deployed beside the library.
    pub(crate) assets_dir: Option<PathBuf>,
    /// The most detailed level at which the host logs functions, numbered as in the C contract.
    pub(crate) log_level: u32,
    pub(crate) confinement: Confinement,
    /// The function's variables. They become the worker's environment once it is in its sandbox, so that none of them has
    /// a meaning to the loader or the allocator of the program itself.
    pub(crate) variables: Vec<(String, String)>,
    /// The worker's own folder for temporary files, if there is one.
    pub(crate) temporary: Option<PathBuf>,
}

/// How a function wants to be called.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Abilities {
    /// How it takes request bodies.
    pub request_bodies: RequestBodies,
    /// It may answer with 101.
    pub takes_upgrades: bool,
}

/// A worker's answer to its setup.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Ready {
    pub(crate) enforced: Enforced,
    pub(crate) abilities: Abilities,
}

/// A log record of a worker. Empty fields are absent.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) level: String,
    pub(crate) message: String,
    /// The module that wrote it.
    pub(crate) module: String,
    pub(crate) request_id: String,
    pub(crate) file: String,
    pub(crate) line: Option<u64>,
    pub(crate) fields: String,
}

/// A call as it reaches the worker. All byte strings share the frame's memory.
#[derive(Debug)]
pub(crate) struct WireRequest {
    pub(crate) method: Bytes,
    pub(crate) path: Bytes,
    pub(crate) query: Bytes,
    pub(crate) route: Bytes,
    pub(crate) request_id: Bytes,
    pub(crate) traceparent: Bytes,
    pub(crate) client_addr: Bytes,
    /// Numbered as in the C contract.
    pub(crate) http_version: u32,
    /// Numbered as in the C contract.
    pub(crate) flags: u32,
    pub(crate) scheme: Bytes,
    pub(crate) authority: Bytes,
    /// The protocol of the upgrade on offer; empty if there is none. Its stream comes in place of the body's.
    pub(crate) upgrade: Bytes,
    /// Time until the deadline, in nanoseconds; 0 is no deadline.
    pub(crate) time_left_ns: u64,
    pub(crate) params: Vec<(Bytes, Bytes)>,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    /// Trailers of a whole body.
    pub(crate) trailers: Vec<(Bytes, Bytes)>,
    /// Length of the body in bytes, in this frame or in those that follow; or [`STREAMED`](super::frame::STREAMED).
    pub(crate) body_length: u64,
    /// The body, if it is in this frame.
    pub(crate) body: Bytes,
}

impl WireRequest {
    pub(crate) fn decode(payload: Bytes) -> Result<Self, ProtocolError> {
        let mut decoder = Decoder::new(payload);
        let request = Self {
            method: decoder.bytes()?,
            path: decoder.bytes()?,
            query: decoder.bytes()?,
            route: decoder.bytes()?,
            request_id: decoder.bytes()?,
            traceparent: decoder.bytes()?,
            client_addr: decoder.bytes()?,
            http_version: decoder.small()?,
            flags: decoder.small()?,
            scheme: decoder.bytes()?,
            authority: decoder.bytes()?,
            upgrade: decoder.bytes()?,
            time_left_ns: decoder.number()?,
            params: decoder.pairs()?,
            headers: decoder.pairs()?,
            trailers: decoder.pairs()?,
            body_length: decoder.number()?,
            body: decoder.rest(),
        };
        decoder.end()?;
        Ok(request)
    }
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Outcome {
    /// With an answer.
    Answered,
    /// With a panic; the body is its message.
    Panicked,
    /// The function could not build its response; the body is the reason.
    Failed,
    /// With an answer that cannot be sent; the body is the reason.
    Invalid,
    /// Not at all: it was withdrawn before it began.
    Withdrawn,
}

impl Outcome {
    const ALL: [Self; 5] = [Self::Answered, Self::Panicked, Self::Failed, Self::Invalid, Self::Withdrawn];
}

/// An answer's head, and its body if it is short.
#[derive(Debug)]
pub(crate) struct WireResponse {
    pub(crate) outcome: Outcome,
    pub(crate) status: u64,
    /// How long the function worked on it, in nanoseconds.
    pub(crate) took_ns: u64,
    pub(crate) headers: Vec<(Bytes, Bytes)>,
    /// As in [`WireRequest`].
    pub(crate) body_length: u64,
    pub(crate) body: Bytes,
}

impl WireResponse {
    pub(crate) fn decode(payload: Bytes) -> Result<Self, ProtocolError> {
        let mut decoder = Decoder::new(payload);
        let outcome = decoder.number()?;
        let known = Outcome::ALL.into_iter().find(|known| *known as u64 == outcome);
        let response = Self {
            outcome: known.ok_or(ProtocolError::Short)?,
            status: decoder.number()?,
            took_ns: decoder.number()?,
            headers: decoder.pairs()?,
            body_length: decoder.number()?,
            body: decoder.rest(),
        };
        decoder.end()?;
        Ok(response)
    }
}

/// Begins a response frame, up to the body.
pub(crate) fn encode_response_head<'b>(
    buffer: &'b mut Vec<u8>,
    id: u32,
    outcome: Outcome,
    status: u16,
    took_ns: u64,
    headers: &HeaderMap,
    body_length: u64,
) -> Encoder<'b> {
    let mut encoder = Encoder::new(buffer, FrameKind::Response, id);
    encoder.number(outcome as u64);
    encoder.number(status.into());
    encoder.number(took_ns);
    encoder
        .pairs(|to| headers.iter().for_each(|(name, value)| to(name.as_str().as_bytes(), value.as_bytes())));
    encoder.number(body_length);
    encoder
}

/// The end of a body: empty, or its trailers.
pub(crate) fn encode_end(buffer: &mut Vec<u8>, id: u32, trailers: &HeaderMap) -> Result<(), ProtocolError> {
    let mut encoder = Encoder::new(buffer, FrameKind::End, id);
    if !trailers.is_empty() {
        encoder.pairs(|to| {
            trailers.iter().for_each(|(name, value)| to(name.as_str().as_bytes(), value.as_bytes()));
        });
    }
    encoder.finish()
}

/// The trailers in the end of a body, checked: a function can take over its worker, which may then send anything.
pub(crate) fn decode_trailers(payload: Bytes) -> Result<Option<HeaderMap>, ProtocolError> {
    if payload.is_empty() {
        return Ok(None);
    }
    let mut decoder = Decoder::new(payload);
    let pairs = decoder.pairs()?;
    decoder.end()?;
    let pairs = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref()));
    Ok(Some(trailers(pairs)?).filter(|trailers| !trailers.is_empty()))
}
