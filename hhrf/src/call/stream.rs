//! A response's body in pieces, made by the function while the client takes it.
//!
//! hyper asks for a piece when it has room for one, and only then the function is asked: that is the back-pressure. A
//! stream of an `async fn` is polled in place; one that blocks is pulled on the blocking pool, a piece at a time. When the
//! client goes, the stream is dropped, and with it the function's work and the permit.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use fezz_runtime::ffi::{Call, Piece, Reply, ReplyBody, ReplyError, ReplyStream, RequestSource, StreamError};
use fezz_runtime::sys::crash_record;
use http::HeaderValue;
use http_body::Frame;
use tokio::sync::oneshot;

use super::concurrency::Permit;
use super::{BlockingPool, CallRequest, length};
use crate::function::Function;

/// The reply with a body for the client. A whole one needs no permit any more.
pub(super) fn streamed(
    reply: Reply<ReplyBody>,
    call: &Call<CallRequest>,
    permit: Option<Permit>,
    pool: &BlockingPool,
) -> Result<Reply<Body>, ReplyError> {
    let Reply { status, mut headers, body } = reply;
    let body = match body {
        ReplyBody::Whole(data) if data.is_empty() => Body::empty(),
        ReplyBody::Whole(data) => Body::from(data),
        ReplyBody::Stream(stream) => {
            let blocks = stream.blocks();
            let source = Source { stream, call: call.clone(), ended: false, _permit: permit };
            let body = StreamBody {
                call: call.clone(),
                pool: pool.clone(),
                state: if blocks { State::Blocking(source) } else { State::Polled(source) },
            };
            let CallRequest { function, head, .. } = call.source();
            length::held(&mut headers, body, function, &head.id)?
        }
    };
    Ok(Reply { status, headers, body })
}

/// A stream and what it holds until it is dropped: the function's memory, the call, and the permit, in this order.
#[derive(Debug)]
struct Source {
    stream: ReplyStream,
    call: Call<CallRequest>,
    ended: bool,
    _permit: Option<Permit>,
}

impl Drop for Source {
    fn drop(&mut self) {
        if !self.ended {
            self.call.source().cancel();
        }
    }
}

#[derive(Debug)]
struct StreamBody {
    call: Call<CallRequest>,
    pool: BlockingPool,
    state: State,
}

/// Where the stream is.
#[derive(Debug)]
enum State {
    /// Here, to be polled. Goes to `Done`.
    Polled(Source),
    /// Here, to be pulled on the pool. Goes to `Pulled`.
    Blocking(Source),
    /// On the pool. Goes to `Blocking` or `Done`.
    Pulled(oneshot::Receiver<(Source, Piece)>),
    /// Dropped: at its end, or broken off.
    Done,
}

/// The next piece of a stream that blocks.
fn pull(mut source: Source, answer: oneshot::Sender<(Source, Piece)>) {
    if answer.is_closed() {
        return;
    }
    let function = Arc::clone(&source.call.source().function);
    let inside = crash_record::enter(function.number);
    let begin = Instant::now();
    let piece = source.stream.next_blocking();
    drop(inside);
    function.calls.learn(begin.elapsed());
    // Fails if the client is gone; the stream is dropped here then.
    let _ = answer.send((source, piece));
}

impl StreamBody {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        loop {
            match std::mem::replace(&mut self.state, State::Done) {
                State::Polled(mut source) => {
                    let inside = crash_record::enter(source.call.source().function.number);
                    let piece = source.stream.poll_next(cx);
                    drop(inside);
                    return match piece {
                        Poll::Ready(piece) => Poll::Ready(self.keep(State::Polled, source, piece)),
                        Poll::Pending => {
                            self.state = State::Polled(source);
                            Poll::Pending
                        }
                    };
                }
                State::Blocking(source) => {
                    let (answer, wait) = oneshot::channel();
                    let blocks = source.call.source().function.calls.block();
                    self.pool.submit(blocks, move || pull(source, answer));
                    self.state = State::Pulled(wait);
                }
                State::Pulled(mut wait) => {
                    let Poll::Ready(answer) = Pin::new(&mut wait).poll(cx) else {
                        self.state = State::Pulled(wait);
                        return Poll::Pending;
                    };
                    let Ok((source, piece)) = answer else {
                        return Poll::Ready(Some(Err(StreamError::Lost)));
                    };
                    return Poll::Ready(self.keep(State::Blocking, source, piece));
                }
                State::Done => return Poll::Ready(None),
            }
        }
    }

    /// Keeps the stream for the next piece, unless this was the last.
    fn keep(&mut self, state: fn(Source) -> State, mut source: Source, piece: Piece) -> Piece {
        match &piece {
            Some(Ok(frame)) if frame.is_data() => self.state = state(source),
            _ => source.ended = true,
        }
        piece
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = StreamError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, StreamError>>> {
        let this = self.get_mut();
        let piece = ready!(this.poll_piece(cx));
        if let Some(Err(error)) = &piece {
            let CallRequest { function, head, .. } = this.call.source();
            report_broken(function, &head.id, error);
        }
        Poll::Ready(piece)
    }
}

/// A response broke off after its head was sent.
pub(super) fn report_broken(function: &Function, request_id: &HeaderValue, error: &StreamError) {
    function.stats.errors.inc();
    tracing::error!(
        kind = "streamed responses broke off",
        function = function.name(),
        request_id = request_id.to_str().unwrap_or_default(),
        "{error}; the client's connection is cut"
    );
}
