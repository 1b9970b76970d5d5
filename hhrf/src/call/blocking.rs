//! A call of a plain `fn`, on a thread that may block.
//!
//! The job owns the call: when the client leaves or the deadline passes, the function is told, and what it holds is
//! released when it returns.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use fezz_isolation::host::Budget;
use fezz_runtime::ffi::{Call, Reply, ReplyBody, ReplyError, RequestSource};
use http::StatusCode;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::timeout_at;

use super::answer::check_length;
use super::concurrency::Permit;
use super::reply_pacer::ReplyPacer;
use super::stream::streamed;
use super::upgrade;
use super::{Admitted, BlockingPool, CallError, CallRequest, deadline_passed};
use crate::function::Function;
use crate::load::LoadedLibrary;

type Answer = Result<(Reply<ReplyBody>, Option<Permit>), ReplyError>;

/// Makes the call and waits for its answer.
pub(super) async fn run(
    admitted: Admitted,
    pool: &BlockingPool,
    pacer: &ReplyPacer<Delivery>,
    memory: &Arc<Budget>,
) -> Result<Reply<Body>, CallError> {
    let Admitted { call, loaded, permit, deadline, .. } = admitted;
    let (answer, wait) = oneshot::channel();
    let mut waiter = Waiter { call: call.clone(), wait: Some(wait), deadline };
    let blocks = call.source().function.calls.block();
    let keep = call.source().upgrade.is_some().then(|| Arc::clone(&loaded));
    let job = Job { call, loaded, permit, deadline, answer };
    if blocks {
        let pacer = pacer.clone();
        pool.submit(blocks, move || job.run().map_or((), |delivery| pacer.push(delivery)));
    } else {
        pool.submit(blocks, move || job.run().map_or((), Delivery::finish));
    }
    let answered = match &mut waiter.wait {
        Some(wait) => timeout_at(deadline.into(), wait).await,
        None => return Err(CallError::Lost),
    };
    match answered {
        Ok(answer) => {
            waiter.wait = None;
            let answer = answer.map_err(|_| CallError::Lost)?;
            waiter.call.source().answered()?;
            let (reply, permit) = answer?;
            let reply = check_length(reply, &waiter.call.source().function, memory)?;
            match keep.filter(|_| reply.status == StatusCode::SWITCHING_PROTOCOLS) {
                Some(keep) => upgrade::switch(reply, &waiter.call, keep, pool),
                None => Ok(streamed(reply, &waiter.call, permit, pool)?),
            }
        }
        Err(_) => {
            let function = Arc::clone(&waiter.call.source().function);
            drop(waiter);
            let abandoned = function.calls.abandoned();
            Err(deadline_passed(&function, abandoned))
        }
    }
}

/// The waiting side. Dropped before the answer has come, it cancels the call, and leaves it to a task that counts it as
/// abandoned from its deadline on.
struct Waiter {
    call: Call<CallRequest>,
    /// None once the answer has come.
    wait: Option<oneshot::Receiver<Answer>>,
    deadline: Instant,
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let Some(wait) = self.wait.take() else { return };
        let request = self.call.source();
        request.cancel();
        let function = Arc::clone(&request.function);
        let late = (self.deadline <= Instant::now()).then(|| Abandoned::new(Arc::clone(&function)));
        // Without a runtime the host is ending.
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(see_off(wait, function, late, self.deadline));
        }
    }
}

/// Waits for the end of a call whose client has gone. Until its deadline that is nobody's fault.
async fn see_off(
    mut wait: oneshot::Receiver<Answer>,
    function: Arc<Function>,
    late: Option<Abandoned>,
    deadline: Instant,
) {
    if late.is_none() && timeout_at(deadline.into(), &mut wait).await.is_ok() {
        return;
    }
    let _late = late.unwrap_or_else(|| Abandoned::new(function));
    let _ = wait.await;
}

/// A call that runs beyond its deadline, counted as long as it does.
struct Abandoned(Arc<Function>);

impl Abandoned {
    fn new(function: Arc<Function>) -> Self {
        function.calls.abandon();
        Self(function)
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.calls.abandoned_ended();
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
        if call.source().is_cancelled() {
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
    /// Hands the answer over, or drops it if nobody waits for it.
    pub(super) fn finish(self) {
        let Self { call, reply, answer } = self;
        let _ = answer.send(reply);
        drop(call);
    }
}
