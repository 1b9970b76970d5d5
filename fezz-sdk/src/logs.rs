//! Events of the `tracing` crate and records of the `log` crate in the host's log.
//!
//! Each library has its own copies of both crates, whose subscriber and logger can be set once. An application may install
//! its own, as in a program; those of the host are installed after its set-up, where it has not. Until then events go to
//! the host by way of the thread's own default, which does not stand in an application's way. The `log` crate has no such
//! thing: its records of the set-up are lost, unless [`log_to_host`] was called, or a logger is installed.

use std::sync::Once;

#[cfg(feature = "tracing")]
mod events;
#[cfg(feature = "log")]
mod records;

#[cfg(all(feature = "tracing", feature = "tokio"))]
pub(crate) use events::threads;

/// Runs the set-up of a load, and installs the host's subscriber and logger where it has installed none. One that failed
/// is tried again: it can install its own then.
pub(crate) fn during<T, E>(set_up: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    #[cfg(feature = "tracing")]
    let guard = events::begin();
    let outcome = set_up();
    #[cfg(feature = "tracing")]
    events::end(guard);
    #[cfg(all(feature = "tracing", feature = "tokio"))]
    crate::runtime::wake_threads();
    if outcome.is_ok() {
        install();
    }
    outcome
}

/// Sends events of the `tracing` crate and records of the `log` crate to the host's log from here on. A function that
/// installs no subscriber or logger of its own has that from the end of its set-up; call this at the start of `init` for
/// what the `log` crate records during the set-up. One that is installed later fails.
pub fn log_to_host() {
    install();
}

fn install() {
    let own: &[Option<&str>] = &[
        #[cfg(feature = "tracing")]
        (!events::install()).then_some("events of tracing"),
        #[cfg(feature = "log")]
        (!records::install()).then_some("records of log"),
    ];
    let own: Vec<_> = own.iter().copied().flatten().collect();
    if !own.is_empty() && crate::host().is_some() {
        say(&own.join(" and "));
    }
}

/// Says once what does not come to the host's log by itself.
fn say(what: &str) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        let line = format!(
            "the function has installed its own subscriber or logger, which gets its {what}: what that prints to standard \
             output and error is in the host's log line by line, without level and request"
        );
        crate::log(crate::Level::Info, &line);
    });
}
