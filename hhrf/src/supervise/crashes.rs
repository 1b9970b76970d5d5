//! Crash counts of functions: too many put a build into quarantine.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use fezz_runtime::sys::crash_record::FunctionBuild;

use crate::function::Quarantined;

/// Counts crashes for each function and build.
#[derive(Debug)]
pub(super) struct Crashes {
    limit: u32,
    /// How long a crash counts.
    window: Duration,
    counts: BTreeMap<FunctionBuild, (VecDeque<Instant>, String)>,
}

impl Crashes {
    pub(super) const fn new(limit: u32, window: Duration) -> Self {
        Self { limit, window, counts: BTreeMap::new() }
    }

    /// One more crash of this function; answers with how many there were within the window.
    pub(super) fn count(&mut self, culprit: &FunctionBuild, how: &str, now: Instant) -> usize {
        self.forget(now);
        let (times, last) = self.counts.entry(culprit.clone()).or_default();
        times.push_back(now);
        how.clone_into(last);
        times.len()
    }

    /// Whether that many crashes are too many.
    pub(super) const fn is_too_many(&self, count: usize) -> bool {
        count >= self.limit as usize
    }

    /// Those that have crashed too often within the window.
    pub(super) fn quarantined(&mut self, now: Instant) -> Vec<Quarantined> {
        self.forget(now);
        let too_many = self.counts.iter().filter(|(_, (times, _))| self.is_too_many(times.len()));
        too_many
            .map(|(build, (times, last))| Quarantined {
                name: build.name.clone(),
                digest: build.digest.to_string(),
                reason: format!("it has crashed its host {} times, the last time {last}", times.len()),
            })
            .collect()
    }

    /// Forgets what is older than the window.
    fn forget(&mut self, now: Instant) {
        let window = self.window;
        self.counts.retain(|_, (times, _)| {
            times.retain(|at| now.duration_since(*at) < window);
            !times.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use fezz_runtime::Digest;

    use super::*;

    #[test]
    fn the_third_crash_of_a_build_is_one_too_many() {
        let now = Instant::now();
        let mut crashes = Crashes::new(3, Duration::from_secs(60));
        let build =
            |digest: u8| FunctionBuild { name: "f@1.0.0".to_owned(), digest: Digest::new([digest; 32]) };
        assert_eq!(crashes.count(&build(1), "a", now), 1);
        assert_eq!(crashes.count(&build(1), "b", now + Duration::from_secs(30)), 2);
        assert_eq!(crashes.count(&build(2), "c", now), 1);
        let later = now + Duration::from_secs(59);
        assert!(crashes.quarantined(later).is_empty());
        crashes.count(&build(1), "killed by signal 11 (SIGSEGV)", later);
        let quarantined = crashes.quarantined(later);
        assert_eq!((quarantined.len(), quarantined[0].digest.as_str()), (1, "01".repeat(32).as_str()));
        assert!(quarantined[0].reason.contains("3 times") && quarantined[0].reason.contains("SIGSEGV"));
        assert!(crashes.quarantined(now + Duration::from_secs(60)).is_empty(), "the first one is forgotten");
        assert_eq!(crashes.count(&build(1), "d", now + Duration::from_secs(100)), 2);
    }
}
