//! Wakers that outlive their call.

use std::future::poll_fn;
use std::sync::{Mutex, PoisonError};
use std::task::{Poll, Waker};

use fezz_sdk::{FezzHttpRequest, FezzHttpResponse};

static KEPT: Mutex<Vec<Waker>> = Mutex::new(Vec::new());

pub(crate) async fn answer(req: &FezzHttpRequest) -> FezzHttpResponse {
    match req.param("what") {
        // Keeps the call's waker, and returns.
        Some("keep") => {
            let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
            kept().push(waker);
        }
        // Wakes all kept wakers from another thread: their calls have ended, perhaps before an eviction.
        Some("wake") => {
            let wakers = std::mem::take(&mut *kept());
            let _ = std::thread::spawn(move || wakers.into_iter().for_each(Waker::wake)).join();
        }
        // Wakes itself from another thread, many times over.
        Some("storm") => {
            let mut left = 100;
            poll_fn(|cx| {
                left -= 1;
                let waker = cx.waker().clone();
                std::thread::spawn(move || {
                    waker.wake_by_ref();
                    waker.wake();
                });
                if left == 0 { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        _ => {}
    }
    FezzHttpResponse::ok().text(kept().len().to_string())
}

fn kept() -> std::sync::MutexGuard<'static, Vec<Waker>> {
    KEPT.lock().unwrap_or_else(PoisonError::into_inner)
}
