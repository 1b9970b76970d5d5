//! Serves calls in one slot, one after another, for as long as there are any.
//!
//! Calls are pipelined. Where a worker is quick, the next ones are in its socket before it is done with the last: neither side has to
//! wait for the other then, nor to be switched to for every call. Only short ones are sent ahead, so few that the socket
//! always has room for them. A call that takes longer than was thought does not keep those behind it waiting, and one
//! that ends its worker does not take them with it: the host withdraws what has not begun, and makes it elsewhere.

mod alone;
mod lost;
mod streaming;
mod upload;

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use bytes::Bytes;
use tokio::time::timeout_at;

use super::Inner;
use super::alarm::Alarm;
use super::call::{CallError, Request};
use super::line::{Line, Sent};
use super::slot::{Answered, ExchangeError, Slot};
use super::state::State;
use super::wire;
use crate::ffi::{CallBody, Reply, ReplyError};
use crate::worker::{Kind, ProtocolError};

use lost::Lost;
use upload::Upload;

/// No more bytes than these and one call are ahead. Sockets have room for many times as much, so that sending does not
/// wait: the worker could be waiting for its answers to be read.
const AHEAD_BYTES: usize = 16 << 10;

/// A slot at work.
#[derive(Debug)]
pub(super) struct Drive {
    inner: Arc<Inner>,
    slot: Slot,
    line: Line,
    alarm: Alarm,
    unreported: Unreported,
}

/// Calls that have ended, which the pool has not been told yet.
#[derive(Debug, Default)]
struct Unreported {
    calls: usize,
    answered: bool,
}

impl Unreported {
    fn tell(&mut self, state: &mut State) {
        state.taken -= std::mem::take(&mut self.calls);
        if std::mem::take(&mut self.answered) {
            state.health.answered();
        }
    }
}

impl Drive {
    pub(super) fn new(inner: Arc<Inner>, slot: Slot) -> Self {
        Self { inner, slot, line: Line::new(), alarm: Alarm::default(), unreported: Unreported::default() }
    }

    /// Makes this call, and others until none is left.
    pub(super) async fn run(mut self, first: Request) {
        let mut next = Some(first);
        while let Some(request) = next {
            let made =
                if request.is_short() { self.pipeline(request).await } else { self.alone(request).await };
            if let Err(lost) = made {
                return self.lost(lost).await;
            }
            let Some((drive, request)) = self.next() else { return };
            self = drive;
            next = Some(request);
        }
    }

    /// Makes this call, and those that can be sent behind it.
    async fn pipeline(&mut self, request: Request) -> Result<(), Lost> {
        self.send(Some(request)).await?;
        while !self.line.is_empty() {
            self.answer().await?;
            if self.slot.frames.is_empty() && !self.line.is_empty() {
                self.send(None).await?;
            }
        }
        Ok(())
    }

    /// Sends this call, and those that wait, as far as they can be sent ahead.
    async fn send(&mut self, first: Option<Request>) -> Result<(), Lost> {
        let Some(sink) = &mut self.slot.sink else { return Err(ExchangeError::Closed.into()) };
        let mut frames = std::mem::take(&mut sink.scratch);
        frames.clear();
        let mut next = first;
        while let Some(request) = next.take().or_else(|| self.more()) {
            self.queue(request, &mut frames);
        }
        let (Some(sink), Some(first)) = (&mut self.slot.sink, self.line.first()) else { return Ok(()) };
        let sent = if frames.is_empty() {
            Ok(Ok(()))
        } else {
            timeout_at(first.deadline.into(), sink.send(&frames)).await
        };
        sink.scratch = frames;
        Ok(sent.map_err(|_| Lost::Deadline)??)
    }

    /// The next call, if it can be sent ahead.
    fn more(&mut self) -> Option<Request> {
        let is_worn = self.slot.worker.calls() >= self.inner.environment.settings.max_calls;
        if self.line.len() >= self.slot.pace.line() || self.line.bytes() >= AHEAD_BYTES || is_worn {
            return None;
        }
        let mut state = self.inner.lock();
        self.unreported.tell(&mut state);
        if state.closed || !self.slot.worker.is_live() {
            return None;
        }
        state.next_if(Instant::now(), Request::is_short)
    }

    /// Puts a call into the line, and its frame to these.
    fn queue(&mut self, request: Request, frames: &mut Vec<u8>) {
        let (id, start, worker) = (self.slot.next_id(), frames.len(), &self.slot.worker);
        // First, so that whoever has left in the meantime can withdraw it.
        worker.claims.offer(id);
        if let Err(abandoned) = request.ticket.begin(worker, id) {
            return self.finish(request, Err(abandoned));
        }
        let CallBody::Whole(body) = &request.body else {
            return self.finish(request, Err(CallError::Abandoned));
        };
        if let Err(error) = wire::request(frames, &request.parts, Some(body), id) {
            return self.finish(request, Err(ReplyError::Worker(error.to_string()).into()));
        }
        worker.begin(self.slot.index, id, request.parts.head.id.clone());
        let (bytes, deadline) = (frames.len() - start, request.deadline);
        self.line.push(Sent { id, bytes, deadline, request: Some(request) });
    }

    /// Waits for the answer to the first call of the line, and passes it on.
    async fn answer(&mut self) -> Result<(), Lost> {
        let Some(id) = self.line.first().map(|first| first.id) else { return Ok(()) };
        let answered = self.wait(id).await?;
        self.pass(id, answered, None).await
    }

    /// Passes the answer to the first call on.
    async fn pass(
        &mut self,
        id: u32,
        answered: Result<Answered, ReplyError>,
        upload: Option<Upload>,
    ) -> Result<(), Lost> {
        let request = self.line.pop().and_then(|sent| sent.request);
        let worker = &self.slot.worker;
        if !matches!(answered, Ok(Answered::Streams(_))) {
            worker.finish(self.slot.index);
        }
        match (answered, request) {
            (Ok(Answered::Withdrawn), request) if worker.claims.is_withdrawn(id) => {
                // Still here where it was whoever waits for it that took it back.
                if let Some(request) = request {
                    self.finish(request, Err(CallError::Abandoned));
                }
                Ok(())
            }
            (Ok(Answered::Whole(reply, took_ns)), Some(request)) => {
                self.slot.pace.learn(took_ns);
                self.reply(request, reply);
                Ok(())
            }
            (Ok(Answered::Streams(reply)), Some(request)) => {
                let others = self.line.withdraw(&worker.claims, 0);
                self.give_back(others);
                self.stream(request, id, reply, upload).await
            }
            (Err(error), Some(request)) => {
                self.fail(request, error);
                Ok(())
            }
            (Ok(_) | Err(_), _) => {
                let (found, expected) = (Kind::Response, "the word that the call is not made");
                Err(ExchangeError::from(ProtocolError::Unexpected { found, expected }).into())
            }
        }
    }

    /// Waits for the answer to the first call, until its deadline; withdraws those behind it if it takes long.
    async fn wait(&mut self, id: u32) -> Result<Result<Answered, ReplyError>, Lost> {
        let Self { inner, slot: Slot { frames, worker, pace, .. }, line, alarm, unreported } = self;
        let mut answer = pin!(frames.answer(id));
        loop {
            tokio::select! {
                biased;
                answered = &mut answer => return match answered {
                    Ok(answered) => Ok(Ok(answered)),
                    Err(ExchangeError::Reply(error)) => Ok(Err(error)),
                    Err(error) => Err(error.into()),
                },
                () = alarm.ring(line.due()) => {}
            }
            let now = Instant::now();
            if line.is_late(now) {
                return Err(Lost::Deadline);
            }
            if line.is_stalled(now) {
                pace.stalled();
                inner.take_back(line.withdraw(&worker.claims, 1), unreported);
            }
        }
    }

    /// Passes a whole answer on.
    fn reply(&mut self, request: Request, reply: Reply<Bytes>) {
        self.inner.spec.stats.answered(request.begin.elapsed(), &Ok::<_, ReplyError>(()));
        let body = |body: Bytes| if body.is_empty() { Body::empty() } else { Body::from(body) };
        self.unreported.answered = true;
        self.finish(request, Ok(reply.map(body)));
    }

    /// Passes on that there is no answer, or not one that can be sent.
    fn fail(&mut self, request: Request, error: ReplyError) {
        let answered = Err::<(), _>(error);
        self.inner.spec.stats.answered(request.begin.elapsed(), &answered);
        self.unreported.answered = true;
        if let Err(error) = answered {
            self.finish(request, Err(error.into()));
        }
    }

    fn finish(&mut self, request: Request, outcome: Result<Reply<Body>, CallError>) {
        self.unreported.calls += 1;
        request.finish(outcome);
    }

    /// Gives calls that have not begun to other slots.
    fn give_back(&mut self, requests: Vec<Request>) {
        self.inner.take_back(requests, &mut self.unreported);
    }

    /// The next call; or else the slot is idle, unless its worker has made enough calls.
    fn next(mut self) -> Option<(Self, Request)> {
        let inner = Arc::clone(&self.inner);
        let worker = &self.slot.worker;
        if worker.calls() >= inner.environment.settings.max_calls {
            worker.retire();
        }
        let mut state = inner.lock();
        self.unreported.tell(&mut state);
        if state.closed || !worker.is_live() {
            // Its worker ends with the last of its slots, those that are idle among them.
            let idle = state.slots_of(worker);
            inner.balance(&mut state);
            drop(state);
            drop(idle);
            return None;
        }
        if let Some(request) = state.next(Instant::now()) {
            return Some((self, request));
        }
        state.rest(self.slot);
        None
    }
}

impl Inner {
    /// Takes calls back that a slot has not made: they are the next ones.
    fn take_back(self: &Arc<Self>, requests: Vec<Request>, unreported: &mut Unreported) {
        if requests.is_empty() {
            return;
        }
        let mut state = self.lock();
        unreported.tell(&mut state);
        state.taken -= requests.len();
        for request in requests.into_iter().rev() {
            request.ticket.end();
            state.waiting.push_front(request);
        }
        state.expire(Instant::now());
        self.dispatch(&mut state);
        self.balance(&mut state);
    }
}
