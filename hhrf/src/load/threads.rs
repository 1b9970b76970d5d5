//! Threads that run code of functions which may never return: one of the pool's would be missing there.
//!
//! The thread that loads a library never ends. Some allocators take it for the process's main thread, whose state is gone
//! with it, and whose identity the next thread may have: mimalloc crashes then. So such threads are kept for the next
//! load, and there are as many of them as there ever were loads at once.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use fezz_runtime::sys::THREAD_STACK_BYTES;
use fezz_runtime::sys::scheduling::{Policy, set_policy};

type Job = Box<dyn FnOnce() + Send>;

/// The threads that wait for a load.
static IDLE: Mutex<Vec<Sender<Job>>> = Mutex::new(Vec::new());

fn idle() -> MutexGuard<'static, Vec<Sender<Job>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs a load on a thread that never ends.
pub(super) fn on_load_thread(load: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut job: Job = Box::new(load);
    let thread = idle().pop();
    if let Some(thread) = thread {
        match thread.send(job) {
            Ok(()) => return Ok(()),
            Err(unsent) => job = unsent.0,
        }
    }
    start("load", move || {
        let (sender, jobs) = channel::<Job>();
        loop {
            // A panic is a defect of the host's. Its load is lost, the thread is not.
            let _ = catch_unwind(AssertUnwindSafe(job));
            idle().push(sender.clone());
            let Ok(next) = jobs.recv() else { return };
            job = next;
        }
    })
}

/// Starts a thread that ends with what it runs.
pub(super) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = thread::Builder::new().name(name.to_owned()).stack_size(THREAD_STACK_BYTES);
    thread
        .spawn(|| {
            // As the pool's threads, whose policy the function's own threads inherit.
            set_policy(Policy::Batch);
            run();
        })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The thread that a load runs on.
    fn load() -> thread::ThreadId {
        let (sender, done) = channel();
        on_load_thread(move || _ = sender.send(thread::current().id())).expect("started");
        done.recv().expect("run")
    }

    #[test]
    fn a_thread_is_kept_for_the_next_load_and_survives_a_panic() {
        let first = load();
        let ready = |count| {
            while idle().len() < count {
                thread::yield_now();
            }
        };
        ready(1);
        on_load_thread(|| panic!("in a load")).expect("started");
        ready(1);
        assert_eq!(load(), first);
    }
}
