//! Which function crashed a serving process.

use super::{Child, Supervisor};
use fezz_runtime::sys::crash_record::{Crash, FunctionBuild};

impl Supervisor {
    /// Says whose fault it was, as far as that is known, and counts it.
    pub(super) fn crashed(&mut self, child: &Child, how: &str) {
        let pid = child.id();
        if let Some(why) = child.killed {
            tracing::info!(child = pid, "the serving process was killed by its supervisor: {why}");
            return;
        }
        let Crash { culprit, outside, running } = child.crash();
        // With a single function running there is no other that could have done it.
        let alone = culprit.is_none() && running.len() == 1;
        let Some(culprit) = culprit.or_else(|| running.first().filter(|_| alone).cloned()) else {
            let running: Vec<_> = running.iter().map(name).collect();
            let thread =
                if outside { "in a thread that no call was running on" } else { "in an unknown thread" };
            tracing::error!(
                child = pid,
                running = running.join(" "),
                "the serving process crashed {thread}: {how}"
            );
            return;
        };
        let crashes = self.crashes.count(&culprit, how);
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
            tracing::error!(
                function = culprit.name,
                digest,
                "the function is in quarantine: it {what} from here on"
            );
        }
    }
}

/// A function as the log names it.
pub(super) fn name(build: &FunctionBuild) -> String {
    format!("{}#{}", build.name, build.digest.short())
}
