//! Wear: what a process uses up with each library that it maps, since none is ever unmapped.
//!
//! A process may have `vm.max_map_count` memory maps, of which a library takes four to eight. Where none are left, no
//! library loads and no thread starts. And what old builds have allocated stays allocated: megabytes each, if they bring
//! an allocator of their own. So a fresh process takes over before either runs out.

mod system;

use tokio::sync::watch;

/// The part of the maps that may be used, in percent.
const MAPS_PERCENT: u64 = 80;
/// The part of the memory that this process may use, in percent, if most of its libraries are old builds: the next
/// process needs some beside it.
const MEMORY_PERCENT: u64 = 40;
/// Both are looked at after this many new libraries: counting maps costs milliseconds where there are many.
const LIBRARIES_PER_COUNT: usize = 64;

/// Tells why this process should be replaced.
#[derive(Debug)]
pub(super) struct Wear {
    reason: watch::Sender<Option<String>>,
    /// This many mapped libraries wear a process out, whatever they use.
    libraries_max: usize,
}

impl Wear {
    pub(super) fn new(libraries_max: usize) -> Self {
        Self { reason: watch::Sender::new(None), libraries_max }
    }

    /// Told each time that something wears this process out.
    pub(super) fn watch(&self) -> watch::Receiver<Option<String>> {
        self.reason.subscribe()
    }

    pub(super) fn tell(&self, reason: String) {
        self.reason.send_replace(Some(reason));
    }

    /// One more library is mapped; so many are by now, and so many of them are not in use.
    pub(super) fn mapped(&self, libraries: usize, old: usize) {
        if libraries >= self.libraries_max {
            tracing::warn!(
                mapped = libraries,
                "libraries stay mapped, and {} of them wear a process out: plan a restart of the host if it has no supervisor",
                self.libraries_max
            );
            self.tell(format!("{libraries} libraries are mapped"));
        } else if libraries.is_multiple_of(LIBRARIES_PER_COUNT)
            && let Some(reason) = maps().or_else(|| memory().filter(|_| old > libraries / 2))
        {
            tracing::warn!(mapped = libraries, "this process is worn out: {reason}");
            self.tell(reason);
        }
    }
}

/// Whether that many of the memory maps are in use.
fn maps() -> Option<String> {
    let (maps, max) = (system::maps()?, system::maps_max()?);
    is_more(maps, max, MAPS_PERCENT).then(|| format!("{maps} of {max} memory maps are in use"))
}

/// Whether that much of the memory is in use.
fn memory() -> Option<String> {
    let (used, max) = (system::memory()?, system::memory_max()?);
    is_more(used, max, MEMORY_PERCENT)
        .then(|| format!("it uses {} of {} MiB of memory, most of it for old builds", used >> 20, max >> 20))
}

const fn is_more(used: u64, max: u64, percent: u64) -> bool {
    used >= max / 100 * percent
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_the_maps_are_enough() {
        assert!(!is_more(52_399, 65_530, MAPS_PERCENT));
        assert!(is_more(52_400, 65_530, MAPS_PERCENT));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some_of_both_left() {
        let (maps, max) = (system::maps().expect("counted"), system::maps_max().expect("read"));
        assert!((10..max).contains(&maps), "{maps} of {max}");
        let (used, max) = (system::memory().expect("read"), system::memory_max().expect("read"));
        assert!((1 << 20..max).contains(&used), "{used} of {max}");
    }

    #[test]
    fn too_many_libraries_are_told() {
        let wear = Wear::new(2);
        let mut reason = wear.watch();
        wear.mapped(1, 0);
        assert!(!reason.has_changed().expect("it is there"));
        wear.mapped(2, 0);
        assert_eq!(reason.borrow_and_update().as_deref(), Some("2 libraries are mapped"));
    }
}
