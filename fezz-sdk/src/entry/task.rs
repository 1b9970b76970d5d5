//! One call of an `async fn` as the contract's task: the host polls it, and drops it to cancel it.

use std::ffi::c_void;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use fezz_abi::bridge::Lent;
use fezz_abi::{FezzResponse, FezzTask, FezzWaker, TASK_PENDING, TASK_READY};

use super::{RequestRef, current, dispose, panics, reply};
use crate::handler::Function;
use crate::{FezzHttpRequest, FezzHttpResponse, runtime};

/// What a [`FezzTask`] of ours stands for; its address goes to the host as `ctx`, and does not change.
struct State<F> {
    future: F,
    request: RequestRef,
}

/// Makes a task. Nothing of the author's runs yet: that is for the first poll.
///
/// # Safety
/// `task` can be written.
pub(super) unsafe fn write<F: Function<M>, M>(task: *mut FezzTask, function: F, request: FezzHttpRequest) {
    let raw = request.raw().clone();
    let future = async move { function.call(request).await };
    // SAFETY: says the caller.
    unsafe { write_future(task, State { future, request: raw }) };
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

unsafe extern "C" fn poll<F>(ctx: *mut c_void, waker: *const FezzWaker, response: *mut FezzResponse) -> u32
where
    F: Future<Output = FezzHttpResponse>,
{
    // SAFETY: the box of `write_future`, which nobody else looks at during a poll.
    let State { future, request } = unsafe { &mut *ctx.cast::<State<F>>() };
    // SAFETY: the future stays in its box until it is dropped there.
    let future = unsafe { Pin::new_unchecked(future) };
    // SAFETY: the host's waker, lent for this poll.
    let waker = unsafe { &*waker };
    // SAFETY: the host keeps the contract's rules for wakers.
    let waker = unsafe { Lent::new(waker) };
    let outcome = current::enter(request, || {
        panics::catch(|| {
            let answer = runtime::enter(|| future.poll(&mut Context::from_waker(&waker)));
            answer.map(|answer| reply::encode(answer, request))
        })
    });
    let answer = match outcome {
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
    let state = unsafe { Box::from_raw(ctx.cast::<State<F>>()) };
    let request = state.request.clone();
    current::enter(&request, || dispose(state));
}
