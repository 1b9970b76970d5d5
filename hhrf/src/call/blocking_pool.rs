//! Threads for work that may block: calls of a plain `fn`, and pulls of its streams.
//!
//! Waking a thread for each call costs more than most calls. So quick work shares a queue, which a few `spawn_blocking`
//! tasks drain, at most one for each core. A function whose calls are known to block gets a thread for each call, under a
//! semaphore. Work in the queue that turns out to block would hold up what is behind it: a watcher notices a queue that
//! has stood still for a millisecond while all drainers were at work, and gives each waiting task a thread.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use fezz_runtime::sys::scheduling::{Policy, set_policy};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// How long the queue may stand still before its tasks get threads of their own.
const STALL: Duration = Duration::from_millis(1);
/// How often a drainer that finds the queue empty yields its core before it ends. The next call most likely comes from a
/// thread that waits for just that core, and yielding costs less than waking a thread.
const YIELDS: u32 = 16;

type Task = Box<dyn FnOnce() + Send>;

/// The queue and its threads.
#[derive(Clone)]
pub(crate) struct BlockingPool(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    /// Wakes the watcher: a task waits in the queue.
    waiting: Notify,
    max_drainers: usize,
    /// Threads beyond the drainers.
    threads: Arc<Semaphore>,
}

#[derive(Default)]
struct Queue {
    tasks: VecDeque<Task>,
    drainers: usize,
    /// Drainers that run a task.
    busy: usize,
    /// Tasks taken so far.
    taken: u64,
    watched: bool,
}

impl BlockingPool {
    /// A pool of at most `max_threads` threads. Must be called within a runtime, on which the watcher runs.
    pub(crate) fn start(max_threads: usize) -> Self {
        let max_drainers = thread::available_parallelism().map_or(1, usize::from).min(max_threads);
        let threads = Arc::new(Semaphore::new(max_threads - max_drainers));
        let shared = Shared { queue: Mutex::default(), waiting: Notify::new(), max_drainers, threads };
        let this = Self(Arc::new(shared));
        tokio::spawn(watch(Arc::clone(&this.0)));
        this
    }

    /// Runs a task: on a thread of its own if it is likely to block and there is one left, else from the queue.
    pub(super) fn submit(&self, blocks: bool, task: impl FnOnce() + Send + 'static) {
        if blocks && let Ok(thread) = Arc::clone(&self.0.threads).try_acquire_owned() {
            return run_on(thread, task);
        }
        let mut queue = self.0.lock();
        queue.tasks.push_back(Box::new(task));
        if queue.drainers < self.0.max_drainers {
            queue.drainers += 1;
            drop(queue);
            let shared = Arc::clone(&self.0);
            spawn_blocking(move || drain(&shared));
        } else if !queue.watched {
            queue.watched = true;
            drop(queue);
            self.0.waiting.notify_one();
        }
    }
}

impl fmt::Debug for BlockingPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlockingPool").field("queued", &self.0.lock().tasks.len()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run_on(thread: OwnedSemaphorePermit, task: impl FnOnce() + Send + 'static) {
    spawn_blocking(move || {
        set_policy(Policy::Batch);
        task();
        drop(thread);
    });
}

/// Runs tasks until the queue is empty, and for a few yields more.
fn drain(shared: &Shared) {
    set_policy(Policy::Normal);
    let mut yields = 0;
    let mut queue = shared.lock();
    loop {
        if let Some(task) = queue.tasks.pop_front() {
            queue.taken += 1;
            queue.busy += 1;
            drop(queue);
            // A defect of the host must not cost a drainer; the task's own request fails with `Lost`.
            if panic::catch_unwind(AssertUnwindSafe(task)).is_err() {
                tracing::error!("a task of the blocking pool panicked; this is a defect of the host");
            }
            yields = 0;
            queue = shared.lock();
            queue.busy -= 1;
        } else if yields < YIELDS {
            yields += 1;
            drop(queue);
            thread::yield_now();
            queue = shared.lock();
        } else {
            // Under the lock that found the queue empty: the next task to be queued sees one drainer less.
            queue.drainers -= 1;
            return;
        }
    }
}

/// Looks after the queue while tasks wait in it.
async fn watch(shared: Arc<Shared>) {
    loop {
        shared.waiting.notified().await;
        let mut seen = shared.lock().taken;
        loop {
            tokio::time::sleep(STALL).await;
            let mut queue = shared.lock();
            if queue.tasks.is_empty() {
                queue.watched = false;
                break;
            }
            let stalled = queue.taken == seen && queue.busy == queue.drainers;
            seen = queue.taken;
            if stalled {
                give_threads(&mut queue, &shared.threads);
            }
        }
    }
}

/// A thread for each task in the queue, as far as there are any left.
fn give_threads(queue: &mut Queue, threads: &Arc<Semaphore>) {
    while !queue.tasks.is_empty()
        && let Ok(thread) = Arc::clone(threads).try_acquire_owned()
        && let Some(task) = queue.tasks.pop_front()
    {
        run_on(thread, task);
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_quick_task_does_not_wait_behind_tasks_that_block() {
        let pool = BlockingPool::start(64);
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let blocked = Arc::new(Mutex::new(blocked));
        for _ in 0..pool.0.max_drainers + 4 {
            let blocked = Arc::clone(&blocked);
            pool.submit(false, move || _ = blocked.lock().unwrap().recv());
        }
        let (done, wait) = oneshot::channel();
        pool.submit(false, move || _ = done.send(()));
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("in time").expect("run");
        drop(release);
    }

    #[tokio::test]
    async fn a_task_that_panics_costs_no_thread() {
        let pool = BlockingPool::start(2);
        for _ in 0..8 {
            pool.submit(false, || panic!("as the test wants it"));
        }
        let (done, wait) = oneshot::channel();
        pool.submit(false, move || _ = done.send(()));
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("in time").expect("run");
    }

    #[tokio::test]
    async fn more_tasks_than_threads_wait_for_their_turn() {
        let pool = BlockingPool::start(2);
        let (done, mut all) = tokio::sync::mpsc::unbounded_channel();
        for _ in 0..50 {
            let done = done.clone();
            pool.submit(true, move || {
                thread::sleep(Duration::from_millis(1));
                let _ = done.send(());
            });
        }
        drop(done);
        let mut ended = 0;
        while tokio::time::timeout(Duration::from_secs(10), all.recv()).await.expect("in time").is_some() {
            ended += 1;
        }
        assert_eq!(ended, 50);
    }
}
