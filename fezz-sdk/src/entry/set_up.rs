//! The set-up of a load: the author's hook, then the function's service. What of it can be done once in a process, such as
//! installing a logger, must not be in the way of a later load.

use std::sync::atomic::{AtomicBool, Ordering};

use fezz_abi::INIT_STALE;

use super::{Options, panics};
use crate::hooks::InitOutcome;
use crate::host::Level;
use crate::runtime;

/// Runs it; answers as `fezz_init` does.
pub(super) fn run(options: &Options) -> i32 {
    static HAS_FAILED: AtomicBool = AtomicBool::new(false);

    let outcome = crate::logs::during(|| prepare(options));
    panics::adopt_hook();
    let Err(reason) = outcome else { return 0 };
    if HAS_FAILED.swap(true, Ordering::Relaxed) && installs_again(&reason) {
        let line =
            format!("the set-up cannot be tried again in the same memory, and is in a fresh copy: {reason}");
        crate::log(Level::Info, &line);
        return INIT_STALE.cast_signed();
    }
    crate::log(Level::Error, &reason);
    2
}

/// Runs the author's hook and makes the function's service.
fn prepare(options: &Options) -> InitOutcome {
    static WAS_SET_UP: AtomicBool = AtomicBool::new(false);

    let outcome = panics::catch(|| runtime::enter(options.init))
        .unwrap_or_else(|panic| Err(format!("init panicked: {panic}")));
    match outcome {
        // After an eviction, in the same memory: a subscriber or a logger can be installed once, and is there.
        Err(reason) if WAS_SET_UP.load(Ordering::Relaxed) && installs_again(&reason) => crate::log(
            Level::Warn,
            &format!(
                "init was not run again to its end: it installs what it has installed at an earlier load, which goes on; \
                 use `try_init`, or install it in the function that makes the service ({reason})"
            ),
        ),
        outcome => outcome?,
    }
    panics::catch(options.prepare)
        .unwrap_or_else(|panic| Err(format!("the service cannot be made, its function panicked: {panic}")))?;
    WAS_SET_UP.store(true, Ordering::Relaxed);
    Ok(())
}

/// Whether that is why a set-up failed: the errors of the crates log, tracing and eyre.
fn installs_again(reason: &str) -> bool {
    let said = [
        "SetLoggerError",
        "attempted to set a logger after the logging system was already initialized",
        "SetGlobalDefaultError",
        "a global default trace dispatcher has already been set",
        "a hook has already been installed",
        "another was already installed",
    ];
    said.iter().any(|text| reason.contains(text))
}
