//! A plain `fn`: queued for a runner, whose thread may block.
//!
//! The queued job owns the call: when the client leaves or the deadline passes, the function is told, and whatever it
//! holds is given back when it returns.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use tokio::sync::oneshot;

use super::gate::Permit;
use super::lanes::Work;
use super::runners::Runners;
use super::stream::streamed;
use super::{Admitted, InvokeError, deadline_passed};
use crate::ffi::{Call, Reply, ReplyBody, ReplyError};
use crate::resolve::Loaded;

type Answer = Result<(Reply<ReplyBody>, Option<Permit>), ReplyError>;

/// Makes the call and waits for its answer.
pub(super) async fn run(admitted: Admitted, runners: &Runners) -> Result<Reply<Body>, InvokeError> {
    let Admitted { call, loaded, permit, deadline, .. } = admitted;
    let (answer, wait) = oneshot::channel();
    let mut waiter = Waiter { call: call.clone(), wait };
    runners.submit(Work::Call(Job { call, loaded, permit, answer }));
    match tokio::time::timeout_at(deadline.into(), &mut waiter.wait).await {
        Ok(Ok(answer)) => {
            let (reply, permit) = answer?;
            Ok(reply.map(|body| streamed(body, &waiter.call, permit, runners)))
        }
        Ok(Err(_)) => Err(InvokeError::Lost),
        Err(_) => {
            let abandoned = waiter.abandon();
            Err(deadline_passed(waiter.call.function(), abandoned))
        }
    }
}

/// The side that waits. When it goes before the answer has come, the call is abandoned: told to stop, and counted.
struct Waiter {
    call: Call,
    wait: oneshot::Receiver<Answer>,
}

impl Waiter {
    fn abandon(&mut self) -> usize {
        let gate = &self.call.function().gate;
        let abandoned = gate.abandon();
        self.wait.close();
        if self.wait.try_recv().is_ok() {
            // It was answered at this very moment, so that the job has not counted its own end.
            gate.recover();
        }
        self.call.cancel();
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

/// One call that waits for a runner, with all that it needs.
#[derive(Debug)]
pub(super) struct Job {
    call: Call,
    loaded: Arc<Loaded>,
    permit: Permit,
    answer: oneshot::Sender<Answer>,
}

impl Job {
    pub(super) const fn call(&self) -> &Call {
        &self.call
    }

    /// Makes the call. Its answer is yet to be handed over; where there is none, nobody waits for one.
    pub(super) fn run(self) -> Option<Delivery> {
        let Self { call, loaded, permit, answer } = self;
        if answer.is_closed() {
            // The call that has not begun is not made.
            call.function().gate.recover();
            return None;
        }
        let reply = fetch(&call, &loaded);
        let streams = matches!(reply, Ok(Reply { body: ReplyBody::Stream(_), .. }));
        // Before the answer goes out: who has it may call again at once, and must find the permit free. A body that is
        // still to be made is a part of the call.
        let permit = streams.then_some(permit);
        Some(Delivery { call, reply: reply.map(|reply| (reply, permit)), answer })
    }
}

/// A call that was made, and the request that waits for its answer.
#[derive(Debug)]
pub(super) struct Delivery {
    call: Call,
    reply: Answer,
    answer: oneshot::Sender<Answer>,
}

impl Delivery {
    /// Hands the answer over. A call whose client has left meanwhile ends here.
    pub(super) fn finish(self) {
        let Self { call, reply, answer } = self;
        if answer.send(reply).is_err() {
            call.function().gate.recover();
        }
    }

    pub(super) const fn call(&self) -> &Call {
        &self.call
    }
}

/// Makes the call, and counts it whoever waits for it.
fn fetch(call: &Call, loaded: &Arc<Loaded>) -> Result<Reply<ReplyBody>, ReplyError> {
    let begin = Instant::now();
    let reply = loaded.fetch(call);
    let took = begin.elapsed();
    call.function().gate.learn(took);
    call.function().stats.answered(took, &reply);
    reply
}
