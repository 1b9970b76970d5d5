//! Which function crashed a serving process.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use super::{Child, Supervisor};
use fezz_runtime::sys::crash_record::{Crash, FunctionBuild, is_fault};

impl Supervisor {
    /// Says whose fault it was, as far as that is known, and counts it; whether a function is to blame.
    pub(super) fn crashed(&mut self, child: &Child, status: &io::Result<ExitStatus>, how: &str) -> bool {
        let pid = child.id();
        if let Some(why) = child.killed {
            tracing::info!(child = pid, "the serving process was killed by its supervisor: {why}");
            return false;
        }
        let Crash { culprit, outside, running, recent } = child.crash();
        let signal = status.as_ref().ok().and_then(ExitStatusExt::signal);
        let from_outside = !outside && culprit.is_none() && signal.is_some_and(|signal| !is_fault(signal));
        if from_outside && !child.stuck {
            let running = names(&running);
            tracing::error!(
                child = pid,
                running,
                "the serving process crashed, which is no function's fault: from outside, {how}"
            );
            return false;
        }
        // With a single function running there is no other that could have done it.
        let alone = culprit.is_none() && running.len() == 1;
        let Some(culprit) = culprit.or_else(|| running.first().filter(|_| alone).cloned()) else {
            let thread =
                if outside { "in a thread that no call was running on" } else { "in an unknown thread" };
            tracing::error!(
                child = pid,
                running = names(&running),
                suspects = names(&recent),
                "the serving process crashed {thread}: {how}"
            );
            return false;
        };
        self.blame(pid, &culprit, how);
        true
    }

    fn blame(&mut self, pid: u32, culprit: &FunctionBuild, how: &str) {
        let crashes = self.crashes.count(culprit, how, Instant::now());
        let digest = culprit.digest.to_string();
        tracing::error!(
            child = pid,
            function = culprit.name,
            digest,
            crashes,
            "the serving process crashed while this function was running: {how}"
        );
        if self.crashes.is_too_many(crashes) {
            let what =
                if self.options.quarantine_isolates { "moves to worker processes" } else { "is refused" };
            let window =
                humantime::format_duration(Duration::from_secs(self.options.quarantine_window.as_secs()));
            tracing::error!(
                function = culprit.name,
                digest,
                "the function is in quarantine: this build of it {what} from here on, for {window} at most"
            );
        }
    }
}

fn names(builds: &[FunctionBuild]) -> String {
    builds.iter().map(name).collect::<Vec<_>>().join(" ")
}

/// A function as the log names it.
pub(super) fn name(build: &FunctionBuild) -> String {
    format!("{}#{}", build.name, build.digest.short())
}
