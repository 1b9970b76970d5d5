//! Answers of calls that block, on their way back to the requests that wait for them.
//!
//! Calls that have slept together end together. Were all of their requests woken at once, they would be answered in one
//! burst, whose clients call again in one burst: what began together stays together, and whoever else uses the core
//! waits behind all of it, each time. So a few answers are handed over at a time, and between two times the runtime
//! looks after everything else. Functions take turns.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::turns::Turns;

/// What part of the answers that wait goes out at once: so that their number, and with it their delay, stays small
/// where many come, and there is no burst where few do.
const PART: usize = 24;

/// Where answers wait for their turn.
#[derive(Debug)]
pub(super) struct Outbox<T>(Arc<Shared<T>>);

#[derive(Debug)]
struct Shared<T> {
    answers: Mutex<Turns<T>>,
    filled: Notify,
}

impl<T> Outbox<T> {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared { answers: Mutex::default(), filled: Notify::new() }))
    }

    /// Leaves an answer of the function with this number.
    pub(super) fn push(&self, function: usize, answer: T) {
        let mut answers = self.answers();
        let is_first = answers.is_empty();
        answers.push(function, answer);
        drop(answers);
        if is_first {
            self.0.filled.notify_one();
        }
    }

    /// Hands answers over for as long as it is polled.
    pub(super) async fn run(self, deliver: impl Fn(T)) {
        loop {
            self.0.filled.notified().await;
            loop {
                let some = self.some();
                if some.is_empty() {
                    break;
                }
                some.into_iter().for_each(&deliver);
                tokio::task::yield_now().await;
            }
        }
    }

    /// As many as go out at once.
    fn some(&self) -> Vec<T> {
        let mut answers = self.answers();
        let count = (answers.len() / PART).max(1);
        (0..count).map_while(|_| answers.pop()).collect()
    }

    fn answers(&self) -> MutexGuard<'_, Turns<T>> {
        self.0.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Clone for Outbox<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_leaves_in_small_parts_and_functions_take_turns() {
        let outbox = Outbox::new();
        let delivered = Arc::new(Mutex::new(Vec::new()));
        let here = Arc::clone(&delivered);
        let task = tokio::spawn(outbox.clone().run(move |answer| here.lock().unwrap().push(answer)));
        (0..100).for_each(|answer| outbox.push(1, answer));
        outbox.push(2, 1000);
        tokio::task::yield_now().await;
        assert_eq!(*delivered.lock().unwrap(), [0, 1000, 1, 2], "a twenty-fourth of 101");
        while delivered.lock().unwrap().len() < 101 {
            tokio::task::yield_now().await;
        }
        // It waits now, and is woken for one more.
        tokio::task::yield_now().await;
        outbox.push(1, 100);
        while delivered.lock().unwrap().last() != Some(&100) {
            tokio::task::yield_now().await;
        }
        task.abort();
    }
}
