//! Pacing of replies from calls that block.
//!
//! Calls that slept together end together. If all their replies were sent at once, their clients would call again at once:
//! the calls would stay together, and all other work would wait behind the burst, each time. So a part of the waiting
//! replies is sent at a time, and in between the runtime does its other work.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The part of the waiting replies that is sent at once: their delay stays short when many wait, and bursts small.
const PART: usize = 24;

/// A queue of replies and the task that sends them.
#[derive(Debug)]
pub(super) struct ReplyPacer<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    replies: Mutex<VecDeque<T>>,
    filled: Notify,
}

impl<T: Send + 'static> ReplyPacer<T> {
    /// Starts the task. Must be called within a runtime.
    pub(super) fn start(send: impl Fn(T) + Send + 'static) -> Self {
        let this = Self(Arc::new(Shared { replies: Mutex::default(), filled: Notify::new() }));
        tokio::spawn(run(Arc::clone(&this.0), send));
        this
    }

    /// Queues a reply.
    pub(super) fn push(&self, reply: T) {
        let mut replies = self.0.lock();
        let is_first = replies.is_empty();
        replies.push_back(reply);
        drop(replies);
        if is_first {
            self.0.filled.notify_one();
        }
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.replies.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_part(&self) -> Vec<T> {
        let mut replies = self.lock();
        let count = (replies.len() / PART).max(1).min(replies.len());
        replies.drain(..count).collect()
    }
}

async fn run<T>(shared: Arc<Shared<T>>, send: impl Fn(T)) {
    loop {
        shared.filled.notified().await;
        loop {
            let part = shared.next_part();
            if part.is_empty() {
                break;
            }
            part.into_iter().for_each(&send);
            tokio::task::yield_now().await;
        }
    }
}

impl<T> Clone for ReplyPacer<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_is_sent_in_small_parts_and_in_order() {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let here = Arc::clone(&sent);
        let pacer = ReplyPacer::start(move |reply| here.lock().unwrap().push(reply));
        (0..100).for_each(|reply| pacer.push(reply));
        tokio::task::yield_now().await;
        assert_eq!(*sent.lock().unwrap(), [0, 1, 2, 3], "a twenty-fourth of 100");
        while sent.lock().unwrap().len() < 100 {
            tokio::task::yield_now().await;
        }
        // The task waits now, and is woken for one more.
        tokio::task::yield_now().await;
        pacer.push(100);
        while sent.lock().unwrap().len() < 101 {
            tokio::task::yield_now().await;
        }
        assert!(sent.lock().unwrap().is_sorted());
    }
}
