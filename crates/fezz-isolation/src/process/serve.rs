//! One socket of a worker: calls come in, answers go out, one after another.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;

use fezz_runtime::ffi::{Call, CallBody, Keep, Library, Reply, ReplyBody, ReplyError, ReplyStream};
use fezz_runtime::sys::Shared;
use http::HeaderMap;

use super::request::WorkerRequest;
use super::{body, polled};
use crate::protocol::{
    CHUNK, Claims, Encoder, FrameHeader, FrameKind, HEADER_LEN, INLINE_BODY, Outcome, ProtocolError,
    STREAMED, WireRequest, encode_response_head, read_frame,
};

/// Room for the heads of most requests, so that one read is enough for them.
const READ_BUFFER: usize = 16 << 10;
/// Not more of a body is made room for before it has come.
const FIRST_ROOM: u64 = 1 << 20;

/// One of the calls that a worker can run at once.
#[derive(Debug)]
pub(super) struct Connection {
    source: BufReader<UnixStream>,
    answers: Answers,
    library: Arc<Library>,
    claims: Arc<Claims>,
    cancelled: Arc<Shared>,
    /// The library stays for as long as the process, so that there is nothing to hold.
    keep: Keep,
}

/// The way back to the host.
#[derive(Debug)]
struct Answers {
    sink: UnixStream,
    /// Where frames are put together.
    buffer: Vec<u8>,
    /// How long the function worked on the call.
    took: Duration,
}

type Answer = Result<Reply<ReplyBody>, ReplyError>;

impl Connection {
    pub(super) fn new(
        socket: UnixStream,
        library: &Arc<Library>,
        claims: &Arc<Claims>,
        cancelled: &Arc<Shared>,
    ) -> io::Result<Self> {
        let sink = socket.try_clone()?;
        Ok(Self {
            answers: Answers { sink, buffer: Vec::new(), took: Duration::ZERO },
            source: BufReader::with_capacity(READ_BUFFER, socket),
            library: Arc::clone(library),
            claims: Arc::clone(claims),
            cancelled: Arc::clone(cancelled),
            keep: Arc::new(()),
        })
    }

    /// Serves calls until the host closes the socket.
    pub(super) fn serve(mut self) -> io::Result<()> {
        while let Some((header, payload)) = read_frame(&mut self.source)? {
            if header.kind != FrameKind::Request {
                return Err(unexpected(header.kind, "a request"));
            }
            // Those whose body is still to come are not withdrawn.
            if !self.claims.begin(header.id) {
                self.answers.failed(header.id, Outcome::Withdrawn, "")?;
                continue;
            }
            let mut request = WireRequest::decode(payload).map_err(io::Error::other)?;
            let body = std::mem::take(&mut request.body);
            if request.body_length == STREAMED {
                self.streamed(header.id, request)?;
            } else if body.len() as u64 == request.body_length {
                self.call(header.id, request, CallBody::Whole(body))?;
            } else {
                let body = self.body(header.id, request.body_length)?;
                self.call(header.id, request, CallBody::Whole(body))?;
            }
        }
        Ok(())
    }

    fn call(&mut self, id: u32, request: WireRequest, body: CallBody) -> io::Result<()> {
        let call = Call::new(WorkerRequest::new(request, id, Arc::clone(&self.cancelled)), body);
        let is_cancelled = || self.cancelled.word(id as usize).load(Ordering::Relaxed) != 0;
        let begin = Instant::now();
        let reply = make(&self.library, &call, &self.keep, &is_cancelled);
        self.answers.took = begin.elapsed();
        self.answers.answer(id, reply, &is_cancelled)
    }

    /// A call whose body is read while it is made.
    fn streamed(&mut self, id: u32, request: WireRequest) -> io::Result<()> {
        let Self { source, answers, library, cancelled, keep, .. } = self;
        let (incoming, feeder, discard) = body::channel();
        thread::scope(|scope| {
            let reading = scope.spawn(|| feeder.feed(source, id));
            let call = Call::new(
                WorkerRequest::new(request, id, Arc::clone(cancelled)),
                CallBody::Stream(Box::new(incoming)),
            );
            let is_cancelled = || cancelled.word(id as usize).load(Ordering::Relaxed) != 0;
            let begin = Instant::now();
            let reply = make(library, &call, keep, &is_cancelled);
            answers.took = begin.elapsed();
            let answered = answers.answer(id, reply, &is_cancelled);
            // The host ends the body when it has the answer, and only then is the socket the next request's.
            discard.discard();
            let read = reading.join().unwrap_or_else(|_| Err(io::Error::other("the reader panicked")));
            answered.and(read)
        })
    }

    /// The body that comes in frames of its own.
    fn body(&mut self, id: u32, length: u64) -> io::Result<Bytes> {
        let mut body = Vec::with_capacity(usize::try_from(length.min(FIRST_ROOM)).unwrap_or_default());
        loop {
            let mut bytes = [0; HEADER_LEN];
            self.source.read_exact(&mut bytes)?;
            let header = FrameHeader::decode(&bytes)
                .and_then(|header| header.of_call(id))
                .map_err(io::Error::other)?;
            match header.kind {
                FrameKind::Chunk if (body.len() + header.length) as u64 <= length => {
                    let start = body.len();
                    body.resize(start + header.length, 0);
                    self.source.read_exact(&mut body[start..])?;
                }
                FrameKind::End if body.len() as u64 == length => return Ok(body.into()),
                FrameKind::Chunk | FrameKind::End => {
                    return Err(io::Error::other(ProtocolError::BodyLength(length)));
                }
                other => return Err(unexpected(other, "a piece of the body")),
            }
        }
    }
}

/// Makes a call the way in which the function wants it to be made.
fn make(
    library: &Library,
    call: &Call<WorkerRequest>,
    keep: &Keep,
    is_cancelled: &dyn Fn() -> bool,
) -> Answer {
    let left = call.source().time_left();
    let Some(task) = library.start(call.clone(), left) else {
        return library.fetch(call, left).into_reply(Arc::clone(keep));
    };
    match polled::run(task, is_cancelled) {
        Some(reply) => reply.and_then(|reply| reply.into_reply(Arc::clone(keep))),
        None => Err(ReplyError::Worker("the call was cancelled: nobody waits for it any more".to_owned())),
    }
}

impl Answers {
    fn answer(&mut self, id: u32, reply: Answer, is_cancelled: &dyn Fn() -> bool) -> io::Result<()> {
        let Reply { status, headers, body } = match reply {
            Ok(reply) => reply,
            Err(ReplyError::Panicked(message)) => return self.failed(id, Outcome::Panicked, &message),
            Err(ReplyError::Failed(message)) => return self.failed(id, Outcome::Failed, &message),
            Err(other) => return self.failed(id, Outcome::Invalid, &other.to_string()),
        };
        match body {
            ReplyBody::Whole(body) => self.whole(id, Outcome::Answered, status.as_u16(), &headers, &body),
            ReplyBody::Stream(stream) => {
                let (status, took) = (status.as_u16(), self.took_ns());
                self.buffer.clear();
                let head = encode_response_head(
                    &mut self.buffer,
                    id,
                    Outcome::Answered,
                    status,
                    took,
                    &headers,
                    STREAMED,
                );
                if let Err(error) = head.finish() {
                    return self.failed(id, Outcome::Invalid, &error.to_string());
                }
                self.sink.write_all(&self.buffer)?;
                self.pull(id, stream, is_cancelled)
            }
        }
    }

    fn took_ns(&self) -> u64 {
        u64::try_from(self.took.as_nanos()).unwrap_or(u64::MAX)
    }

    fn failed(&mut self, id: u32, outcome: Outcome, reason: &str) -> io::Result<()> {
        self.whole(id, outcome, 0, &HeaderMap::new(), reason.as_bytes())
    }

    /// Sends what the function makes, as fast as the host takes it.
    fn pull(&mut self, id: u32, mut stream: ReplyStream, is_cancelled: &dyn Fn() -> bool) -> io::Result<()> {
        let (end, reason) = loop {
            if is_cancelled() {
                break (FrameKind::Broken, "nobody waits for it any more".to_owned());
            }
            match stream.next_blocking() {
                Some(Ok(piece)) => {
                    piece.chunks(CHUNK).try_for_each(|chunk| self.frame(id, FrameKind::Chunk, chunk))?;
                }
                Some(Err(error)) => break (FrameKind::Broken, error.to_string()),
                None => break (FrameKind::End, String::new()),
            }
        };
        // What it holds is free when the client has its end, and may call again.
        drop(stream);
        self.frame(id, end, &reason.as_bytes()[..reason.floor_char_boundary(INLINE_BODY)])
    }

    fn frame(&mut self, id: u32, kind: FrameKind, payload: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        let mut frame = Encoder::new(&mut self.buffer, kind, id);
        frame.rest(payload);
        frame.finish().map_err(io::Error::other)?;
        self.sink.write_all(&self.buffer)
    }

    fn whole(
        &mut self,
        id: u32,
        outcome: Outcome,
        status: u16,
        headers: &HeaderMap,
        body: &[u8],
    ) -> io::Result<()> {
        let (took, length) = (self.took_ns(), body.len() as u64);
        self.buffer.clear();
        let mut head = encode_response_head(&mut self.buffer, id, outcome, status, took, headers, length);
        let inline = body.len() <= INLINE_BODY;
        if inline {
            head.rest(body);
        }
        // Headers of a megabyte are the function's mistake, and no reason to end the worker.
        if let Err(error) = head.finish() {
            return self.failed(id, Outcome::Invalid, &error.to_string());
        }
        self.sink.write_all(&self.buffer)?;
        if !inline {
            body.chunks(CHUNK).try_for_each(|chunk| self.frame(id, FrameKind::Chunk, chunk))?;
            self.frame(id, FrameKind::End, b"")?;
        }
        Ok(())
    }
}

fn unexpected(found: FrameKind, expected: &'static str) -> io::Error {
    io::Error::other(ProtocolError::Unexpected { found, expected })
}
