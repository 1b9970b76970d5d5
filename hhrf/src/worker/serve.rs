//! One socket of a worker: calls come in, answers go out, one after another.

use std::io::{self, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use bytes::Bytes;

use super::message::{Outcome, WireRequest, response_head};
use super::protocol::{CHUNK, Encoder, HEADER, Header, INLINE_BODY, Kind, ProtocolError, read_frame};
use crate::ffi::{Library, RemoteCall, Reply, ReplyError, Shared};

/// Room for the heads of most requests, so that one read is enough for them.
const READ_BUFFER: usize = 16 << 10;
/// Not more of a body is made room for before it has come.
const FIRST_ROOM: u64 = 1 << 20;

/// One of the calls that a worker can run at once.
#[derive(Debug)]
pub(super) struct Slot {
    source: BufReader<UnixStream>,
    library: Arc<Library>,
    cancelled: Arc<Shared>,
    /// Where frames are put together.
    buffer: Vec<u8>,
}

impl Slot {
    pub(super) fn new(socket: UnixStream, library: &Arc<Library>, cancelled: &Arc<Shared>) -> Self {
        Self {
            source: BufReader::with_capacity(READ_BUFFER, socket),
            library: Arc::clone(library),
            cancelled: Arc::clone(cancelled),
            buffer: Vec::new(),
        }
    }

    /// Serves calls until the host closes the socket.
    pub(super) fn serve(mut self) -> io::Result<()> {
        while let Some((header, payload)) = read_frame(&mut self.source)? {
            if header.kind != Kind::Request {
                return Err(unexpected(header.kind, "a request"));
            }
            let mut request = WireRequest::decode(payload).map_err(io::Error::other)?;
            if request.body.len() as u64 != request.body_length {
                request.body = self.body(header.id, request.body_length)?;
            }
            let call = RemoteCall::new(request, header.id, Arc::clone(&self.cancelled));
            let reply = self.library.fetch_remote(&call).into_reply(&());
            drop(call);
            self.answer(header.id, reply)?;
        }
        Ok(())
    }

    /// The body that comes in frames of its own.
    fn body(&mut self, id: u32, length: u64) -> io::Result<Bytes> {
        let mut body = Vec::with_capacity(usize::try_from(length.min(FIRST_ROOM)).unwrap_or_default());
        loop {
            let mut bytes = [0; HEADER];
            self.source.read_exact(&mut bytes)?;
            let header =
                Header::decode(&bytes).and_then(|header| header.of_call(id)).map_err(io::Error::other)?;
            match header.kind {
                Kind::Chunk if (body.len() + header.length) as u64 <= length => {
                    let start = body.len();
                    body.resize(start + header.length, 0);
                    self.source.read_exact(&mut body[start..])?;
                }
                Kind::End if body.len() as u64 == length => return Ok(body.into()),
                Kind::Chunk | Kind::End => return Err(io::Error::other(ProtocolError::BodyLength(length))),
                other => return Err(unexpected(other, "a piece of the body")),
            }
        }
    }

    fn answer(&mut self, id: u32, reply: Result<Reply, ReplyError>) -> io::Result<()> {
        match reply {
            Ok(Reply { status, headers, body }) => {
                let pairs: Vec<_> = headers
                    .iter()
                    .map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes()))
                    .collect();
                self.send(id, Outcome::Answered, status.as_u16(), &pairs, &body)
            }
            Err(ReplyError::Panicked(message)) => {
                self.send(id, Outcome::Panicked, 0, &[], message.as_bytes())
            }
            Err(ReplyError::Failed(message)) => self.send(id, Outcome::Failed, 0, &[], message.as_bytes()),
            Err(other) => self.send(id, Outcome::Invalid, 0, &[], other.to_string().as_bytes()),
        }
    }

    fn send(
        &mut self,
        id: u32,
        outcome: Outcome,
        status: u16,
        headers: &[(&[u8], &[u8])],
        body: &[u8],
    ) -> io::Result<()> {
        let buffer = std::mem::take(&mut self.buffer);
        let length = body.len() as u64;
        let mut head = response_head(buffer, id, outcome, status, headers.iter().copied(), length);
        let inline = body.len() <= INLINE_BODY;
        if inline {
            head.rest(body);
        }
        let head = match head.finish() {
            Ok(head) => head,
            // Headers of a megabyte are the function's mistake, and no reason to end the worker.
            Err(error) => return self.send(id, Outcome::Invalid, 0, &[], error.to_string().as_bytes()),
        };
        let mut socket = self.source.get_ref();
        socket.write_all(&head)?;
        self.buffer = head;
        if !inline {
            for chunk in body.chunks(CHUNK) {
                socket.write_all(&Header { length: chunk.len(), kind: Kind::Chunk, id }.encode())?;
                socket.write_all(chunk)?;
            }
            let end = Encoder::new(Vec::new(), Kind::End, id).finish().map_err(io::Error::other)?;
            socket.write_all(&end)?;
        }
        Ok(())
    }
}

fn unexpected(found: Kind, expected: &'static str) -> io::Error {
    io::Error::other(ProtocolError::Unexpected { found, expected })
}
