//! Serves the calls of one socket, one after another.

use std::io::{self, BufReader, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

use bytes::Bytes;
use fezz_runtime::ffi::{Call, CallBody, Keep, Library, ReplyError, RequestSource};
use fezz_runtime::sys::Shared;

use crate::protocol::{
    CANCELLED, Claims, FrameHeader, FrameKind, HEADER_LEN, Outcome, ProtocolError, STREAMED, WireRequest,
    read_frame,
};

use super::request::WorkerRequest;
use super::response::{CallResult, ResponseWriter};
use super::{body, polled};

/// Size of the read buffer, in bytes: one read is enough for most requests.
const READ_BUFFER: usize = 16 << 10;
/// Most memory that is allocated for a body before it arrives, in bytes.
const INITIAL_BODY_CAPACITY: u64 = 1 << 20;

/// One socket of a worker, on which calls are served.
#[derive(Debug)]
pub(super) struct CallServer {
    reader: BufReader<UnixStream>,
    writer: ResponseWriter,
    library: Arc<Library>,
    claims: Arc<Claims>,
    cancelled: Arc<Shared>,
    /// Holds nothing: a worker never unloads its library.
    keep: Keep,
}

impl CallServer {
    pub(super) fn new(
        socket: UnixStream,
        library: &Arc<Library>,
        claims: &Arc<Claims>,
        cancelled: &Arc<Shared>,
    ) -> io::Result<Self> {
        Ok(Self {
            writer: ResponseWriter::new(socket.try_clone()?),
            reader: BufReader::with_capacity(READ_BUFFER, socket),
            library: Arc::clone(library),
            claims: Arc::clone(claims),
            cancelled: Arc::clone(cancelled),
            keep: Arc::new(()),
        })
    }

    /// Serves calls until the host closes the socket.
    pub(super) fn serve(mut self) -> io::Result<()> {
        while let Some((header, payload)) = read_frame(&mut self.reader)? {
            if header.kind != FrameKind::Request {
                return Err(unexpected(header.kind, "a request"));
            }
            // A request whose body comes in further frames is never withdrawn, so there is nothing to skip.
            if !self.claims.begin(header.id) {
                self.writer.write_failure(header.id, Outcome::Withdrawn, "")?;
                continue;
            }
            let mut request = WireRequest::decode(payload).map_err(io::Error::other)?;
            let body = std::mem::take(&mut request.body);
            if request.body_length == STREAMED {
                self.serve_streamed(header.id, request)?;
            } else if body.len() as u64 == request.body_length {
                self.serve_call(header.id, request, CallBody::Whole(body))?;
            } else {
                let body = self.read_body(header.id, request.body_length)?;
                self.serve_call(header.id, request, CallBody::Whole(body))?;
            }
        }
        Ok(())
    }

    fn serve_call(&mut self, id: u32, request: WireRequest, body: CallBody) -> io::Result<()> {
        let call = Call::new(WorkerRequest::new(request, id, Arc::clone(&self.cancelled)), body);
        let is_cancelled = || self.cancelled.word(id as usize).load(Ordering::Relaxed) == CANCELLED;
        let begin = Instant::now();
        let reply = run_call(&self.library, &call, &self.keep, &is_cancelled);
        self.writer.took = begin.elapsed();
        self.writer.write_result(id, reply, &is_cancelled)
    }

    /// A call with a streamed body or an upgrade on offer, which is read while the function runs.
    fn serve_streamed(&mut self, id: u32, request: WireRequest) -> io::Result<()> {
        let Self { reader, writer, library, cancelled, keep, .. } = self;
        let (incoming, feeder, discard) = body::channel();
        thread::scope(|scope| {
            let reading = scope.spawn(|| feeder.feed(reader, id));
            let request = WorkerRequest::new(request, id, Arc::clone(cancelled));
            let call = if request.upgrade().is_empty() {
                Call::new(request, CallBody::Stream(Box::new(incoming)))
            } else {
                Call::new(request.with_upgraded(incoming), CallBody::Whole(Bytes::new()))
            };
            let is_cancelled = || cancelled.word(id as usize).load(Ordering::Relaxed) == CANCELLED;
            let begin = Instant::now();
            let reply = run_call(library, &call, keep, &is_cancelled);
            writer.took = begin.elapsed();
            let answered = writer.write_result(id, reply, &is_cancelled);
            // The host ends the body once it has the answer. Only then can the next request arrive.
            discard.discard();
            let read = reading.join().unwrap_or_else(|_| Err(io::Error::other("the reader panicked")));
            answered.and(read)
        })
    }

    /// Reads a body that comes in frames of its own.
    fn read_body(&mut self, id: u32, length: u64) -> io::Result<Bytes> {
        let mut body =
            Vec::with_capacity(usize::try_from(length.min(INITIAL_BODY_CAPACITY)).unwrap_or_default());
        loop {
            let mut bytes = [0; HEADER_LEN];
            self.reader.read_exact(&mut bytes)?;
            let header = FrameHeader::decode(&bytes)
                .and_then(|header| header.of_call(id))
                .map_err(io::Error::other)?;
            match header.kind {
                FrameKind::Chunk if (body.len() + header.length) as u64 <= length => {
                    let start = body.len();
                    body.resize(start + header.length, 0);
                    self.reader.read_exact(&mut body[start..])?;
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

/// Runs a call: polled for an `async fn`, else on this thread.
fn run_call(
    library: &Library,
    call: &Call<WorkerRequest>,
    keep: &Keep,
    is_cancelled: &dyn Fn() -> bool,
) -> CallResult {
    let left = call.source().time_left();
    let offered = !call.source().upgrade().is_empty();
    let Some(task) = library.start(call.clone(), left) else {
        return library.fetch(call, left).into_reply(Arc::clone(keep), offered);
    };
    match polled::poll_to_end(task, is_cancelled) {
        Some(reply) => reply.and_then(|reply| reply.into_reply(Arc::clone(keep), offered)),
        None => Err(ReplyError::Worker("the call was cancelled: the caller has gone".to_owned())),
    }
}

fn unexpected(found: FrameKind, expected: &'static str) -> io::Error {
    io::Error::other(ProtocolError::Unexpected { found, expected })
}
