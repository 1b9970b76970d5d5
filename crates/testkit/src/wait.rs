//! Polling until a condition is true, for state outside the test's process that has no event to wait for.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// Timeout for any one step of a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Pause between two polls.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// Polls `ask` until its result is as expected, and returns that. Panics after [`PATIENCE`], saying what it waited for.
#[track_caller]
pub(crate) fn until<T: Debug>(
    ask: impl FnMut() -> T,
    expected: impl Fn(&T) -> bool,
    what: impl FnOnce() -> String,
) -> T {
    until_within(PATIENCE, ask, expected, what)
}

/// The same, with another timeout.
#[track_caller]
pub(crate) fn until_within<T: Debug>(
    timeout: Duration,
    mut ask: impl FnMut() -> T,
    expected: impl Fn(&T) -> bool,
    what: impl FnOnce() -> String,
) -> T {
    let deadline = Instant::now() + timeout;
    loop {
        let result = ask();
        if expected(&result) {
            return result;
        }
        if Instant::now() >= deadline {
            panic!("still {result:?} after {timeout:?}, waiting for {}", what());
        }
        thread::sleep(POLL_INTERVAL);
    }
}
