//! The async runtime of a function library.
//!
//! With the feature `tokio` each library has its own runtime, since a function cannot see the host's copy of tokio. It is
//! built at the first use and kept across evictions, because clients and pools in statics depend on it. Its idle threads
//! cost their stacks, and end with the process.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

#[cfg(feature = "tokio")]
pub use with_tokio::runtime;
#[cfg(all(feature = "tokio", feature = "tracing"))]
pub(crate) use with_tokio::wake_threads;
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

    /// `threads` of the attribute; tests have no attribute.
    static THREADS: AtomicUsize = AtomicUsize::new(1);

    /// Sets the number of worker threads. No effect once the runtime is built.
    pub(crate) fn configure(threads: usize) {
        THREADS.store(threads.max(1), Ordering::Relaxed);
    }

    /// The library's runtime, built at the first use. Calls and `init` run within it already.
    ///
    /// # Panics
    /// If the system refuses threads or descriptors.
    pub fn runtime() -> &'static Handle {
        static RUNTIME: OnceLock<Runtime> = OnceLock::new();
        RUNTIME
            .get_or_init(|| {
                let name = crate::host().map_or("fezz", |host| host.function_id());
                let threads = THREADS.load(Ordering::Relaxed);
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(threads).thread_name(name).enable_all();
                #[cfg(feature = "tracing")]
                builder
                    .on_thread_start(move || crate::logs::threads::started(threads))
                    .on_thread_unpark(crate::logs::threads::unparked);
                builder.build().expect("the function's runtime can be started")
            })
            .handle()
    }

    /// Gives idle threads something to do, so that they see that a set-up has ended.
    #[cfg(feature = "tracing")]
    pub(crate) fn wake_threads() {
        for _ in 0..THREADS.load(Ordering::Relaxed) {
            runtime().spawn(std::future::ready(()));
        }
    }

    /// Runs `run` within the runtime, so that timers, sockets and `tokio::spawn` work.
    pub(crate) fn enter<T>(run: impl FnOnce() -> T) -> T {
        let _within = runtime().enter();
        run()
    }

    /// Blocks this thread until the future is done.
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

/// The output of a blocking function's future, which is always ready.
pub(crate) fn block_on_ready<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("a function that blocks is done when it returns"),
    }
}

/// A waker that unparks this thread.
pub(crate) fn unpark_waker() -> Waker {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    Waker::from(Arc::new(Unpark(thread::current())))
}

/// Parks this thread until the future is done.
fn park_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waker = unpark_waker();
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        thread::park();
    }
}
