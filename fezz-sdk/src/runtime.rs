//! What an `async fn` is polled in.
//!
//! With the feature `tokio` each library has one runtime of its own: the host's tokio is another copy, which a function
//! cannot see. It is built when it is first needed and kept across evictions, because clients and pools in statics are
//! tied to it: its threads then wait, which costs their stacks, and end with the process.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

#[cfg(feature = "tokio")]
pub use with_tokio::runtime;
#[cfg(feature = "tokio")]
pub(crate) use with_tokio::{block_on, configure, enter};
#[cfg(not(feature = "tokio"))]
pub(crate) use without_tokio::{block_on, configure, enter};

#[cfg(feature = "tokio")]
mod with_tokio {
    use std::future::Future;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::runtime::{Builder, Handle, Runtime};

    /// What the attribute says; tests have no attribute.
    static THREADS: AtomicUsize = AtomicUsize::new(1);

    /// Takes effect when the runtime is built, which is once.
    pub(crate) fn configure(threads: usize) {
        THREADS.store(threads.max(1), Ordering::Relaxed);
    }

    /// The library's own runtime, built at the first use. Calls and `init` are within it already.
    ///
    /// # Panics
    /// Where the system gives it no threads or descriptors.
    pub fn runtime() -> &'static Handle {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        RUNTIME
            .get_or_init(|| {
                let name = crate::host().map_or("fezz", |host| host.function_id());
                Builder::new_multi_thread()
                    .worker_threads(THREADS.load(Ordering::Relaxed))
                    .thread_name(name)
                    .enable_all()
                    .build()
                    .expect("the function's runtime can be started")
            })
            .handle()
    }

    /// Runs something within the runtime, so that timers, sockets and `tokio::spawn` work in it.
    pub(crate) fn enter<T>(run: impl FnOnce() -> T) -> T {
        let _within = runtime().enter();
        run()
    }

    /// Waits on this thread, which must be one that may block.
    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        let _within = runtime().enter();
        super::park_on(future)
    }
}

#[cfg(not(feature = "tokio"))]
mod without_tokio {
    use std::future::Future;

    pub(crate) const fn configure(_threads: usize) {}

    pub(crate) fn enter<T>(run: impl FnOnce() -> T) -> T {
        run()
    }

    pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
        super::park_on(future)
    }
}

/// The output of a future that is known to be ready: that of a function which blocks.
pub(crate) fn block_on_ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a function that blocks is done when it returns"),
    }
}

/// Waits by parking this thread.
fn park_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let mut future = pin!(future);
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        thread::park();
    }
}
