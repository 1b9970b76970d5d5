//! The driver of a connection: a task that makes queued calls on it until none is left.
//!
//! Calls are pipelined. If the function is fast, the next calls are in the worker's socket before the last one has ended,
//! which saves a round trip and two context switches for each call. Only calls with short bodies are pipelined, and so few
//! that the socket's buffer always has room for them. If a call takes longer than expected, or ends its worker, the host
//! withdraws the calls behind it that have not begun, and makes them on other connections.

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
use super::state::FinishedCalls;
use super::timer::Timer;
use failure::Failure;
use upload::Upload;

/// Bytes in flight above which no further call is pipelined. A socket's buffer holds many times as much, so that sending
/// never waits for a worker that itself waits for the host to read its answers.
const MAX_PIPELINE_BYTES: usize = 16 << 10;

/// A connection and the calls in flight on it.
#[derive(Debug)]
pub(super) struct Driver {
    inner: Arc<PoolInner>,
    connection: Connection,
    pipeline: Pipeline,
    timer: Timer,
    finished: FinishedCalls,
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

    /// Makes this call, then queued ones until none is left.
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
            let Some((driver, call)) = self.next_call() else { return };
            self = driver;
            next = Some(call);
        }
    }

    /// Makes this call, and pipelines queued calls behind it, until none is in flight.
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

    /// Sends this call, and queued calls as far as the pipeline has room.
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

    /// The next queued call, if it can be pipelined.
    fn next_to_pipeline(&mut self) -> Option<PendingCall> {
        let at_max_calls = self.connection.worker.calls() >= self.inner.context.options.max_calls;
        if self.pipeline.len() >= self.connection.depth.current()
            || self.pipeline.bytes() >= MAX_PIPELINE_BYTES
            || at_max_calls
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

    /// Adds a call to the pipeline, and its frame to `frames`.
    fn enqueue(&mut self, call: PendingCall, frames: &mut Vec<u8>) {
        let (id, start, worker) = (self.connection.next_id(), frames.len(), &self.connection.worker);
        // Before `attach`, after which the caller can withdraw the call.
        worker.claims.offer(id);
        if let Err(abandoned) = call.handle.attach(worker, id) {
            return self.finish(call, Err(abandoned));
        }
        let CallBody::Whole(body) = &call.body else {
            return self.finish(call, Err(CallError::Abandoned));
        };
        if let Err(error) = encode_request(frames, &*call.source, time_left(call.deadline), Some(body), id) {
            return self.finish(call, Err(ReplyError::Worker(error.to_string()).into()));
        }
        worker.call_sent(self.connection.index, id, call.request_id.clone());
        let (bytes, deadline) = (frames.len() - start, call.deadline);
        self.pipeline.push(InFlightCall { id, bytes, deadline, call: Some(call) });
    }

    /// Waits for the answer to the oldest call in flight, and delivers it.
    async fn receive_answer(&mut self) -> Result<(), Failure> {
        let Some(id) = self.pipeline.first().map(|first| first.id) else { return Ok(()) };
        let answered = self.await_answer(id).await?;
        self.deliver(id, answered, None).await
    }

    /// Delivers the answer to the oldest call in flight.
    async fn deliver(
        &mut self,
        id: u32,
        answered: Result<Response, ReplyError>,
        upload: Option<Upload>,
    ) -> Result<(), Failure> {
        let call = self.pipeline.pop().and_then(|sent| sent.call);
        let worker = &self.connection.worker;
        if !matches!(answered, Ok(Response::Streams(..))) {
            worker.call_ended(self.connection.index);
        }
        match (answered, call) {
            (Ok(Response::Withdrawn), call) if worker.claims.is_withdrawn(id) => {
                // It is still in the pipeline if the caller withdrew it, and not the host.
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
            (Ok(Response::Streams(reply, length)), Some(call)) => {
                let others = self.pipeline.withdraw(&worker.claims, 0);
                self.requeue(others);
                self.stream_reply(call, id, (reply, length), upload).await
            }
            (Err(error), Some(call)) => {
                self.fail(call, error);
                Ok(())
            }
            (Ok(_) | Err(_), _) => {
                let (found, expected) = (FrameKind::Response, "the confirmation of a withdrawal");
                Err(ExchangeError::from(ProtocolError::Unexpected { found, expected }).into())
            }
        }
    }

    /// Waits for the answer to the oldest call, until its deadline; requeues those behind it if it stalls.
    async fn await_answer(&mut self, id: u32) -> Result<Result<Response, ReplyError>, Failure> {
        let Self { inner, connection: Connection { reader, worker, depth, .. }, pipeline, timer, finished } =
            self;
        let limit = pipeline.first().and_then(|sent| sent.call.as_ref()).map_or(0, |call| call.max_response);
        let mut answer = pin!(reader.read_response(id, limit, &inner.context.options.response_memory));
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

    /// Delivers a whole reply.
    fn reply(&mut self, call: PendingCall, reply: Reply<Bytes>) {
        self.inner.spec.observer.call_ended(call.begin.elapsed(), None);
        self.finished.any_answered = true;
        self.finish(call, Ok(reply.map(WorkerBody::Whole)));
    }

    /// Delivers an error.
    fn fail(&mut self, call: PendingCall, error: ReplyError) {
        self.inner.spec.observer.call_ended(call.begin.elapsed(), Some(&error));
        self.finished.any_answered = true;
        self.finish(call, Err(error.into()));
    }

    fn finish(&mut self, call: PendingCall, outcome: Result<Reply<WorkerBody>, CallError>) {
        self.finished.count += 1;
        call.finish(outcome);
    }

    /// Gives withdrawn calls back to the pool.
    fn requeue(&mut self, calls: Vec<PendingCall>) {
        self.inner.requeue(calls, &mut self.finished);
    }

    /// The next queued call. Without one, the connection goes back to the pool, or is closed if its worker takes no calls.
    fn next_call(mut self) -> Option<(Self, PendingCall)> {
        let inner = Arc::clone(&self.inner);
        let worker = &self.connection.worker;
        if worker.calls() >= inner.context.options.max_calls {
            worker.retire();
        }
        let mut state = inner.lock();
        self.finished.report(&mut state);
        if state.closed || !worker.is_live() {
            // The worker ends once all its connections are closed, the idle ones included.
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

/// Time until the deadline; at least a nanosecond, since 0 means no deadline.
fn time_left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1))
}

impl PoolInner {
    /// Puts withdrawn calls back at the front of the queue.
    fn requeue(self: &Arc<Self>, calls: Vec<PendingCall>, finished: &mut FinishedCalls) {
        if calls.is_empty() {
            return;
        }
        let mut state = self.lock();
        finished.report(&mut state);
        state.in_flight -= calls.len();
        for call in calls.into_iter().rev() {
            call.handle.detach();
            state.waiting.push_front(call);
        }
        state.expire(Instant::now());
        self.dispatch(&mut state);
        self.start_missing(&mut state);
    }
}
