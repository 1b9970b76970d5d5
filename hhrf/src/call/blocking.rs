//! A call of a plain `fn`, on a thread that may block.
//!
//! The job owns the call: when the client leaves or the deadline passes, the function is told, and what it holds is
//! released when it returns.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use fezz_runtime::ffi::{Call, Reply, ReplyBody, ReplyError, RequestSource};
use tokio::sync::oneshot;

use super::concurrency::Permit;
use super::reply_pacer::ReplyPacer;
use super::stream::streamed;
use super::{Admitted, BlockingPool, CallError, CallRequest, deadline_passed};
use crate::load::LoadedLibrary;

type Answer = Result<(Reply<ReplyBody>, Option<Permit>), ReplyError>;

/// Makes the call and waits for its answer.
pub(super) async fn run(
    admitted: Admitted,
    pool: &BlockingPool,
    pacer: &ReplyPacer<Delivery>,
) -> Result<Reply<Body>, CallError> {
    let Admitted { call, loaded, permit, deadline, .. } = admitted;
    let (answer, wait) = oneshot::channel();
    let mut waiter = Waiter { call: call.clone(), wait };
    let blocks = call.source().function.calls.block();
    let job = Job { call, loaded, permit, deadline, answer };
    if blocks {
        let pacer = pacer.clone();
        pool.submit(blocks, move || job.run().map_or((), |delivery| pacer.push(delivery)));
    } else {
        pool.submit(blocks, move || job.run().map_or((), Delivery::finish));
    }
    match tokio::time::timeout_at(deadline.into(), &mut waiter.wait).await {
        Ok(Ok(answer)) => {
            let (reply, permit) = answer?;
            Ok(reply.map(|body| streamed(body, &waiter.call, permit, pool)))
        }
        Ok(Err(_)) => Err(CallError::Lost),
        Err(_) => {
            let abandoned = waiter.abandon();
            Err(deadline_passed(&waiter.call.source().function, abandoned))
        }
    }
}

/// The waiting side. Dropped before the answer has come, it abandons the call: cancels it, and counts it.
struct Waiter {
    call: Call<CallRequest>,
    wait: oneshot::Receiver<Answer>,
}

impl Waiter {
    fn abandon(&mut self) -> usize {
        let request = self.call.source();
        let abandoned = request.function.calls.abandon();
        self.wait.close();
        if self.wait.try_recv().is_ok() {
            // It was answered at this very moment, so that the job has not counted its own end.
            request.function.calls.abandoned_ended();
        }
        request.cancel();
        abandoned
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Terminated: the answer was received, or `abandon` has closed the channel.
        if !self.wait.is_terminated() {
            self.abandon();
        }
    }
}

/// One call that waits for a thread, with all that it needs.
struct Job {
    call: Call<CallRequest>,
    loaded: Arc<LoadedLibrary>,
    permit: Permit,
    deadline: Instant,
    answer: oneshot::Sender<Answer>,
}

impl Job {
    /// Makes the call. None if its client left before it began: it is not made then.
    fn run(self) -> Option<Delivery> {
        let Self { call, loaded, permit, deadline, answer } = self;
        let function = &call.source().function;
        if answer.is_closed() {
            function.calls.abandoned_ended();
            return None;
        }
        let begin = Instant::now();
        let reply = loaded.fetch(&call, deadline.saturating_duration_since(begin));
        let took = begin.elapsed();
        function.calls.learn(took);
        function.stats.call_ended(took, reply.as_ref().err());
        let streams = matches!(reply, Ok(Reply { body: ReplyBody::Stream(_), .. }));
        // Before the answer goes out: its client may call again at once, and must find the permit free. A stream is a
        // part of the call, and keeps it.
        let permit = streams.then_some(permit);
        Some(Delivery { reply: reply.map(|reply| (reply, permit)), call, answer })
    }
}

/// The answer to a call that was made, and where it goes.
#[derive(Debug)]
pub(super) struct Delivery {
    call: Call<CallRequest>,
    reply: Answer,
    answer: oneshot::Sender<Answer>,
}

impl Delivery {
    /// Hands the answer over. A call whose client has left meanwhile ends here.
    pub(super) fn finish(self) {
        let Self { call, reply, answer } = self;
        if answer.send(reply).is_err() {
            call.source().function.calls.abandoned_ended();
        }
    }
}
