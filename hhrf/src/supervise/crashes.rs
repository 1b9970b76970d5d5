//! Crash counts of functions: too many put a build into quarantine.

use std::collections::BTreeMap;

use fezz_runtime::sys::crash_record::FunctionBuild;

use crate::function::Quarantined;

/// Counts crashes for each function and build.
#[derive(Debug)]
pub(super) struct Crashes {
    limit: u32,
    counts: BTreeMap<FunctionBuild, (u32, String)>,
}

impl Crashes {
    pub(super) const fn new(limit: u32) -> Self {
        Self { limit, counts: BTreeMap::new() }
    }

    /// One more crash of this function; answers with how many there were.
    pub(super) fn count(&mut self, culprit: &FunctionBuild, how: &str) -> u32 {
        let (count, last) = self.counts.entry(culprit.clone()).or_default();
        *count += 1;
        how.clone_into(last);
        *count
    }

    /// Whether that many crashes are too many.
    pub(super) const fn is_too_many(&self, count: u32) -> bool {
        count >= self.limit
    }

    /// Those that have crashed too often.
    pub(super) fn quarantined(&self) -> Vec<Quarantined> {
        let too_many = self.counts.iter().filter(|(_, (count, _))| self.is_too_many(*count));
        too_many
            .map(|(build, (count, last))| Quarantined {
                name: build.name.clone(),
                digest: build.digest.to_string(),
                reason: format!("it has crashed its host {count} times, the last time {last}"),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use fezz_runtime::Digest;

    use super::*;

    #[test]
    fn the_third_crash_of_a_build_is_one_too_many() {
        let mut crashes = Crashes::new(3);
        let build =
            |digest: u8| FunctionBuild { name: "f@1.0.0".to_owned(), digest: Digest::new([digest; 32]) };
        assert_eq!(crashes.count(&build(1), "a"), 1);
        assert_eq!(crashes.count(&build(1), "b"), 2);
        assert_eq!(crashes.count(&build(2), "c"), 1);
        assert!(crashes.quarantined().is_empty());
        assert!(crashes.is_too_many(crashes.limit));
        crashes.count(&build(1), "killed by signal 11 (SIGSEGV)");
        let quarantined = crashes.quarantined();
        assert_eq!((quarantined.len(), quarantined[0].digest.as_str()), (1, "01".repeat(32).as_str()));
        assert!(quarantined[0].reason.contains("3 times") && quarantined[0].reason.contains("SIGSEGV"));
    }
}
