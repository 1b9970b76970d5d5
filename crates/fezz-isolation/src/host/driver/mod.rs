//! Serves calls in one connection, one after another, for as long as there are any.
//!
//! Calls are pipelined. Where a worker is quick, the next ones are in its socket before it is done with the last: neither side has to
//! wait for the other then, nor to be switched to for every call. Only short ones are sent ahead, so few that the socket
//! always has room for them. A call that takes longer than was thought does not keep those behind it waiting, and one
//! that ends its worker does not take them with it: the host withdraws what has not begun, and makes it elsewhere.

mod exclusive;
mod failure;
mod streaming;
mod upload;

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fezz_runtime::ffi::{CallBody, Reply, ReplyError};
use tokio::time::timeout_at;

use crate::protocol::{FrameKind, ProtocolError, encode_request};

use super::body::WorkerBody;
use super::call::{CallError, PendingCall};
use super::connection::Connection;
use super::frame_reader::{ExchangeError, Response};
use super::pipeline::{InFlightCall, Pipeline};
use super::pool::PoolInner;
use super::state::PoolState;
use super::timer::Timer;
use failure::Failure;
use upload::Upload;

/// No more bytes than these and one call are ahead. Sockets have room for many times as much, so that sending does not
/// wait: the worker could be waiting for its answers to be read.
const MAX_PIPELINE_BYTES: usize = 16 << 10;

/// A connection at work.
#[derive(Debug)]
pub(super) struct Driver {
    inner: Arc<PoolInner>,
    connection: Connection,
    pipeline: Pipeline,
    timer: Timer,
    finished: FinishedCalls,
}

/// Calls that have ended, which the pool has not been told yet.
#[derive(Debug, Default)]
struct FinishedCalls {
    count: usize,
    any_answered: bool,
}

impl FinishedCalls {
    fn report(&mut self, state: &mut PoolState) {
        state.in_flight -= std::mem::take(&mut self.count);
        if std::mem::take(&mut self.any_answered) {
            state.health.answered();
        }
    }
}

impl Driver {
    pub(super) fn new(inner: Arc<PoolInner>, connection: Connection) -> Self {
        Self {
            inner,
            connection,
            pipeline: Pipeline::new(),
            timer: Timer::default(),
            finished: FinishedCalls::default(),
        }
    }

    /// Makes this call, and others until none is left.
    pub(super) async fn run(mut self, first: PendingCall) {
        let mut next = Some(first);
        while let Some(call) = next {
            let made = if call.is_pipelined() {
                self.make_pipelined(call).await
            } else {
                self.make_exclusive(call).await
            };
            if let Err(failure) = made {
                return self.fail_calls(failure).await;
            }
            let Some((drive, call)) = self.next_call() else { return };
            self = drive;
            next = Some(call);
        }
    }

    /// Makes this call, and those that can be sent behind it.
    async fn make_pipelined(&mut self, call: PendingCall) -> Result<(), Failure> {
        self.fill_pipeline(Some(call)).await?;
        while !self.pipeline.is_empty() {
            self.receive_answer().await?;
            if self.connection.reader.is_empty() && !self.pipeline.is_empty() {
                self.fill_pipeline(None).await?;
            }
        }
        Ok(())
    }

    /// Sends this call, and those that wait, as far as they can be sent ahead.
    async fn fill_pipeline(&mut self, first: Option<PendingCall>) -> Result<(), Failure> {
        let Some(writer) = &mut self.connection.writer else { return Err(ExchangeError::Closed.into()) };
        let mut frames = std::mem::take(&mut writer.scratch);
        frames.clear();
        let mut next = first;
        while let Some(call) = next.take().or_else(|| self.next_to_pipeline()) {
            self.enqueue(call, &mut frames);
        }
        let (Some(writer), Some(first)) = (&mut self.connection.writer, self.pipeline.first()) else {
            return Ok(());
        };
        let sent = if frames.is_empty() {
            Ok(Ok(()))
        } else {
            timeout_at(first.deadline.into(), writer.send(&frames)).await
        };
        writer.scratch = frames;
        Ok(sent.map_err(|_| Failure::Deadline)??)
    }

    /// The next call, if it can be sent ahead.
    fn next_to_pipeline(&mut self) -> Option<PendingCall> {
        let is_worn = self.connection.worker.calls() >= self.inner.context.options.max_calls;
        if self.pipeline.len() >= self.connection.depth.current()
            || self.pipeline.bytes() >= MAX_PIPELINE_BYTES
            || is_worn
        {
            return None;
        }
        let mut state = self.inner.lock();
        self.finished.report(&mut state);
        if state.closed || !self.connection.worker.is_live() {
            return None;
        }
        state.next_if(Instant::now(), PendingCall::is_pipelined)
    }

    /// Puts a call into the line, and its frame to these.
    fn enqueue(&mut self, call: PendingCall, frames: &mut Vec<u8>) {
        let (id, start, worker) = (self.connection.next_id(), frames.len(), &self.connection.worker);
        // First, so that whoever has left in the meantime can withdraw it.
        worker.claims.offer(id);
        if let Err(abandoned) = call.handle.begin(worker, id) {
            return self.finish(call, Err(abandoned));
        }
        let CallBody::Whole(body) = &call.body else {
            return self.finish(call, Err(CallError::Abandoned));
        };
        if let Err(error) = encode_request(frames, &*call.source, time_left(call.deadline), Some(body), id) {
            return self.finish(call, Err(ReplyError::Worker(error.to_string()).into()));
        }
        worker.begin(self.connection.index, id, call.request_id.clone());
        let (bytes, deadline) = (frames.len() - start, call.deadline);
        self.pipeline.push(InFlightCall { id, bytes, deadline, call: Some(call) });
    }

    /// Waits for the answer to the first call of the line, and passes it on.
    async fn receive_answer(&mut self) -> Result<(), Failure> {
        let Some(id) = self.pipeline.first().map(|first| first.id) else { return Ok(()) };
        let answered = self.await_answer(id).await?;
        self.deliver(id, answered, None).await
    }

    /// Passes the answer to the first call on.
    async fn deliver(
        &mut self,
        id: u32,
        answered: Result<Response, ReplyError>,
        upload: Option<Upload>,
    ) -> Result<(), Failure> {
        let call = self.pipeline.pop().and_then(|sent| sent.call);
        let worker = &self.connection.worker;
        if !matches!(answered, Ok(Response::Streams(_))) {
            worker.finish(self.connection.index);
        }
        match (answered, call) {
            (Ok(Response::Withdrawn), call) if worker.claims.is_withdrawn(id) => {
                // Still here where it was whoever waits for it that took it back.
                if let Some(call) = call {
                    self.finish(call, Err(CallError::Abandoned));
                }
                Ok(())
            }
            (Ok(Response::Whole(reply, took_ns)), Some(call)) => {
                self.connection.depth.record(took_ns);
                self.reply(call, reply);
                Ok(())
            }
            (Ok(Response::Streams(reply)), Some(call)) => {
                let others = self.pipeline.withdraw(&worker.claims, 0);
                self.requeue(others);
                self.stream_reply(call, id, reply, upload).await
            }
            (Err(error), Some(call)) => {
                self.fail(call, error);
                Ok(())
            }
            (Ok(_) | Err(_), _) => {
                let (found, expected) = (FrameKind::Response, "the word that the call is not made");
                Err(ExchangeError::from(ProtocolError::Unexpected { found, expected }).into())
            }
        }
    }

    /// Waits for the answer to the first call, until its deadline; withdraws those behind it if it takes long.
    async fn await_answer(&mut self, id: u32) -> Result<Result<Response, ReplyError>, Failure> {
        let Self { inner, connection: Connection { reader, worker, depth, .. }, pipeline, timer, finished } =
            self;
        let mut answer = pin!(reader.answer(id));
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => return match answered {
                    Ok(answered) => Ok(Ok(answered)),
                    Err(ExchangeError::Reply(error)) => Ok(Err(error)),
                    Err(error) => Err(error.into()),
                },
                () = timer.wait_until(pipeline.due()) => {}
            }
            let now = Instant::now();
            if pipeline.is_late(now) {
                return Err(Failure::Deadline);
            }
            if pipeline.is_stalled(now) {
                depth.reset();
                inner.requeue(pipeline.withdraw(&worker.claims, 1), finished);
            }
        }
    }

    /// Passes a whole answer on.
    fn reply(&mut self, call: PendingCall, reply: Reply<Bytes>) {
        self.inner.spec.observer.call_ended(call.begin.elapsed(), None);
        self.finished.any_answered = true;
        self.finish(call, Ok(reply.map(WorkerBody::Whole)));
    }

    /// Passes on that there is no answer, or not one that can be sent.
    fn fail(&mut self, call: PendingCall, error: ReplyError) {
        self.inner.spec.observer.call_ended(call.begin.elapsed(), Some(&error));
        self.finished.any_answered = true;
        self.finish(call, Err(error.into()));
    }

    fn finish(&mut self, call: PendingCall, outcome: Result<Reply<WorkerBody>, CallError>) {
        self.finished.count += 1;
        call.finish(outcome);
    }

    /// Gives calls that have not begun to other connections.
    fn requeue(&mut self, requests: Vec<PendingCall>) {
        self.inner.requeue(requests, &mut self.finished);
    }

    /// The next call; or else the connection is idle, unless its worker has made enough calls.
    fn next_call(mut self) -> Option<(Self, PendingCall)> {
        let inner = Arc::clone(&self.inner);
        let worker = &self.connection.worker;
        if worker.calls() >= inner.context.options.max_calls {
            worker.retire();
        }
        let mut state = inner.lock();
        self.finished.report(&mut state);
        if state.closed || !worker.is_live() {
            // Its worker ends with the last of its connections, those that are idle among them.
            let idle = state.connections_of(worker);
            inner.start_missing(&mut state);
            drop(state);
            drop(idle);
            return None;
        }
        if let Some(call) = state.next(Instant::now()) {
            return Some((self, call));
        }
        state.park(self.connection);
        None
    }
}

/// At least a nanosecond: 0 means no deadline.
fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1))
}

impl PoolInner {
    /// Takes calls back that a connection has not made: they are the next ones.
    fn requeue(self: &Arc<Self>, requests: Vec<PendingCall>, finished: &mut FinishedCalls) {
        if requests.is_empty() {
            return;
        }
        let mut state = self.lock();
        finished.report(&mut state);
        state.in_flight -= requests.len();
        for call in requests.into_iter().rev() {
            call.handle.end();
            state.waiting.push_front(call);
        }
        state.expire(Instant::now());
        self.dispatch(&mut state);
        self.start_missing(&mut state);
    }
}
