//! One call of an `async fn` as the contract's task: the host polls it, and drops it to cancel it.

use std::ffi::c_void;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fezz_abi::bridge::Lent;
use fezz_abi::{FezzResponse, FezzTask, FezzWaker, TASK_PENDING, TASK_READY};

use super::{RequestRef, current, empty, panics, reply};
use crate::handler::Function;
use crate::{FezzHttpRequest, FezzHttpResponse, runtime};

/// What a [`FezzTask`] of ours stands for; its address goes to the host as `ctx`, and does not change.
struct State<F> {
    /// None when it has come to its end.
    future: Option<F>,
    /// The host keeps it until it has dropped the task.
    request: ManuallyDrop<RequestRef>,
}

/// Makes a task of one call. Nothing of the author's runs yet: that is for the first poll.
///
/// # Safety
/// `request` is the request that `raw` borrows; that stays valid until the task is dropped. `task` can be written.
pub(super) unsafe fn write<F: Function<M>, M>(
    task: *mut FezzTask,
    function: F,
    request: FezzHttpRequest,
    raw: ManuallyDrop<RequestRef>,
) {
    let future = async move { function.call(request).await };
    // SAFETY: says the caller.
    unsafe { write_future(task, State { future: Some(future), request: raw }) };
}

/// # Safety
/// As for [`write()`].
unsafe fn write_future<F>(task: *mut FezzTask, state: State<F>)
where
    F: Future<Output = FezzHttpResponse> + Send + 'static,
{
    let ctx = Box::into_raw(Box::new(state));
    // SAFETY: says the caller; a field of version 1.0, which every host has room for.
    unsafe { (*task).ctx = ctx.cast() };
    // SAFETY: as above.
    unsafe { (*task).poll = Some(poll::<F>) };
    // SAFETY: as above.
    unsafe { (*task).drop = Some(drop_task::<F>) };
}

/// Polls a future, and drops it where it is when it is ready. Within the runtime.
fn poll_in_place<F>(slot: &mut Option<F>, request: &RequestRef, cx: &mut Context<'_>) -> Poll<FezzResponse>
where
    F: Future<Output = FezzHttpResponse>,
{
    let Some(future) = slot else { return Poll::Pending };
    // SAFETY: the future stays in its box until it is dropped there.
    let future = unsafe { Pin::new_unchecked(future) };
    let answer = ready!(future.poll(cx));
    empty(slot);
    Poll::Ready(reply::encode(answer, request))
}

unsafe extern "C" fn poll<F>(ctx: *mut c_void, waker: *const FezzWaker, response: *mut FezzResponse) -> u32
where
    F: Future<Output = FezzHttpResponse>,
{
    // SAFETY: the box of `write_future`, which nobody else looks at during a poll.
    let State { future, request } = unsafe { &mut *ctx.cast::<State<F>>() };
    // SAFETY: the host's waker, lent for this poll.
    let waker = unsafe { &*waker };
    // SAFETY: the host keeps the contract's rules for wakers.
    let waker = unsafe { Lent::new(waker) };
    let poll = || runtime::enter(|| poll_in_place(future, request, &mut Context::from_waker(&waker)));
    let answer = match current::enter(request, || panics::catch(poll)) {
        Ok(Poll::Pending) => return TASK_PENDING,
        Ok(Poll::Ready(answer)) => answer,
        Err(panic) => reply::panicked(panic),
    };
    // SAFETY: the host's struct for this poll's answer.
    unsafe { super::write(response, answer) };
    TASK_READY
}

unsafe extern "C" fn drop_task<F>(ctx: *mut c_void) {
    // SAFETY: the box of `write_future`; the host drops a task once.
    let mut state = unsafe { Box::from_raw(ctx.cast::<State<F>>()) };
    let State { future, request } = &mut *state;
    if future.is_some() {
        current::enter(request, || runtime::enter(|| empty(future)));
    }
}
