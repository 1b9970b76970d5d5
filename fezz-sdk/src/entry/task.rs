//! The task of one asynchronous call: the host polls it, and drops it to cancel it.

use std::ffi::c_void;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fezz_abi::bridge::Lent;
use fezz_abi::{FezzResponse, FezzTask, FezzWaker, TASK_PENDING, TASK_READY};

use super::{RequestRef, current, drop_in_place, panics, reply};
use crate::handler::Function;
use crate::{FezzHttpRequest, FezzHttpResponse, runtime};

/// The memory behind a [`FezzTask`]; its address is `ctx` and does not change.
struct State<F> {
    /// None once it is done.
    future: Option<F>,
    /// Not counted: the host keeps the request until it has dropped the task.
    request: ManuallyDrop<RequestRef>,
}

/// Makes a task of one call. The author's code runs at the first poll, not before.
///
/// # Safety
/// `raw` borrows the request of `request`, which is valid until the task is dropped. `task` can be written.
pub(super) unsafe fn write<F: Function<M>, M>(
    task: *mut FezzTask,
    function: F,
    request: FezzHttpRequest,
    raw: ManuallyDrop<RequestRef>,
) {
    let future = async move { function.call(request).await };
    // SAFETY: the caller guarantees it.
    unsafe { write_future(task, State { future: Some(future), request: raw }) };
}

/// # Safety
/// As for [`write()`].
unsafe fn write_future<F>(task: *mut FezzTask, state: State<F>)
where
    F: Future<Output = FezzHttpResponse> + Send + 'static,
{
    let ctx = Box::into_raw(Box::new(state));
    // SAFETY: the caller guarantees it; a field of version 1.0, which every host has room for.
    unsafe { (*task).ctx = ctx.cast() };
    // SAFETY: as above.
    unsafe { (*task).poll = Some(poll::<F>) };
    // SAFETY: as above.
    unsafe { (*task).drop = Some(drop_task::<F>) };
}

/// Polls a future within the runtime, and drops it in place when it is ready.
fn poll_in_place<F>(slot: &mut Option<F>, request: &RequestRef, cx: &mut Context<'_>) -> Poll<FezzResponse>
where
    F: Future<Output = FezzHttpResponse>,
{
    let Some(future) = slot else { return Poll::Pending };
    // SAFETY: the future stays in its box until it is dropped there.
    let future = unsafe { Pin::new_unchecked(future) };
    let answer = ready!(future.poll(cx));
    drop_in_place(slot);
    Poll::Ready(reply::encode(answer, request))
}

unsafe extern "C" fn poll<F>(ctx: *mut c_void, waker: *const FezzWaker, response: *mut FezzResponse) -> u32
where
    F: Future<Output = FezzHttpResponse>,
{
    // SAFETY: the box of `write_future`; the host makes one call at a time.
    let State { future, request } = unsafe { &mut *ctx.cast::<State<F>>() };
    // SAFETY: the host's waker, borrowed for this poll.
    let waker = unsafe { &*waker };
    // SAFETY: the host keeps the contract's rules for wakers.
    let waker = unsafe { Lent::new(waker) };
    let poll = || runtime::enter(|| poll_in_place(future, request, &mut Context::from_waker(&waker)));
    let answer = match current::enter(request, || panics::catch(poll)) {
        Ok(Poll::Pending) => return TASK_PENDING,
        Ok(Poll::Ready(answer)) => answer,
        Err(panic) => reply::panicked(panic),
    };
    // SAFETY: the host's struct for the response.
    unsafe { super::write(response, answer) };
    TASK_READY
}

unsafe extern "C" fn drop_task<F>(ctx: *mut c_void) {
    // SAFETY: the box of `write_future`; the host drops a task once.
    let mut state = unsafe { Box::from_raw(ctx.cast::<State<F>>()) };
    let State { future, request } = &mut *state;
    if future.is_some() {
        current::enter(request, || runtime::enter(|| drop_in_place(future)));
    }
}
