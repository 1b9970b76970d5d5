//! The task of one asynchronous call: the host polls it, and drops it to cancel it.

use std::ffi::c_void;
use std::future::Future;
use std::mem::{self, ManuallyDrop};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use fezz_abi::bridge::Lent;
use fezz_abi::{FezzResponse, FezzTask, FezzWaker, TASK_PENDING, TASK_READY};

use super::{RequestRef, current, guard_drop, panics, reply};
use crate::handler::Function;
use crate::{FezzHttpRequest, FezzHttpResponse, runtime};

/// The memory behind a [`FezzTask`]; its address is `ctx` and does not change.
struct State<S, F> {
    stage: Stage<S, F>,
    /// Not counted: the host keeps the request until it has dropped the task.
    request: ManuallyDrop<RequestRef>,
}

/// The life of a call. An `async` block instead would hold request and future side by side.
enum Stage<S, F> {
    /// Not polled yet: what makes the future, with the request.
    Fresh(S),
    /// Pinned: the future stays where it is until it is dropped there.
    Running(F),
    Done,
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
    // SAFETY: the caller guarantees it.
    unsafe { write_start(task, move || function.call(request), raw) };
}

/// # Safety
/// As for [`write()`].
unsafe fn write_start<S, F>(task: *mut FezzTask, start: S, request: ManuallyDrop<RequestRef>)
where
    S: FnOnce() -> F + Send + 'static,
    F: Future<Output = FezzHttpResponse> + Send + 'static,
{
    let ctx = Box::into_raw(Box::new(State::<S, F> { stage: Stage::Fresh(start), request }));
    // SAFETY: the caller guarantees it; a field of version 1.0, which every host has room for.
    unsafe { (*task).ctx = ctx.cast() };
    // SAFETY: as above.
    unsafe { (*task).poll = Some(poll::<S, F>) };
    // SAFETY: as above.
    unsafe { (*task).drop = Some(drop_task::<S, F>) };
}

impl<S, F> Stage<S, F>
where
    S: FnOnce() -> F,
    F: Future<Output = FezzHttpResponse>,
{
    /// Polls the future within the runtime, and drops it in place when it is ready.
    fn poll_in_place(&mut self, request: &RequestRef, cx: &mut Context<'_>) -> Poll<FezzResponse> {
        if let Self::Fresh(_) = self
            && let Self::Fresh(start) = mem::replace(self, Self::Done)
        {
            *self = Self::Running(start());
        }
        let Self::Running(future) = self else { return Poll::Pending };
        // SAFETY: the future stays in its box until it is dropped there.
        let future = unsafe { Pin::new_unchecked(future) };
        let answer = ready!(future.poll(cx));
        self.end();
        Poll::Ready(reply::encode(answer, request))
    }
}

impl<S, F> Stage<S, F> {
    /// Drops what is left where it stands; its `Drop` may panic.
    fn end(&mut self) {
        guard_drop(|| *self = Self::Done);
    }
}

unsafe extern "C" fn poll<S, F>(ctx: *mut c_void, waker: *const FezzWaker, response: *mut FezzResponse) -> u32
where
    S: FnOnce() -> F,
    F: Future<Output = FezzHttpResponse>,
{
    // SAFETY: the box of `write_start`; the host makes one call at a time.
    let State { stage, request } = unsafe { &mut *ctx.cast::<State<S, F>>() };
    // SAFETY: the host's waker, borrowed for this poll.
    let waker = unsafe { &*waker };
    // SAFETY: the host keeps the contract's rules for wakers.
    let waker = unsafe { Lent::new(waker) };
    let poll = || runtime::enter(|| stage.poll_in_place(request, &mut Context::from_waker(&waker)));
    let answer = match current::enter(request, || panics::catch(poll)) {
        Ok(Poll::Pending) => return TASK_PENDING,
        Ok(Poll::Ready(answer)) => answer,
        Err(panic) => reply::panicked(panic),
    };
    // SAFETY: the host's struct for the response.
    unsafe { super::write(response, answer) };
    TASK_READY
}

unsafe extern "C" fn drop_task<S, F>(ctx: *mut c_void) {
    // SAFETY: the box of `write_start`; the host drops a task once.
    let mut state = unsafe { Box::from_raw(ctx.cast::<State<S, F>>()) };
    let State { stage, request } = &mut *state;
    if !matches!(stage, Stage::Done) {
        current::enter(request, || runtime::enter(|| stage.end()));
    }
}
