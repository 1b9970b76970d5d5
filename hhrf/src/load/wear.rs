//! Wear: what a process uses up with each library that it maps, since none is ever unmapped.
//!
//! A process may have `vm.max_map_count` memory maps, of which a library takes four or five. Where none are left, no
//! library loads and no thread starts. So a fresh process takes over before that.

use std::fs::File;
use std::io::Read;

use tokio::sync::watch;

/// The part of the maps that may be used, in percent.
const MAPS_PERCENT: u64 = 80;
/// Maps are counted after this many new libraries: counting costs milliseconds where there are many.
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

    /// One more library is mapped.
    pub(super) fn mapped(&self, libraries: usize) {
        if libraries >= self.libraries_max {
            tracing::warn!(
                mapped = libraries,
                "libraries stay mapped, and {} of them wear a process out: plan a restart of the host if it has no supervisor",
                self.libraries_max
            );
            self.tell(format!("{libraries} libraries are mapped"));
        } else if libraries.is_multiple_of(LIBRARIES_PER_COUNT)
            && let (Some(maps), Some(max)) = (maps(), maps_max())
            && are_too_many(maps, max)
        {
            tracing::warn!(maps, max, "this process has used up most of its memory maps");
            self.tell(format!("{maps} of {max} memory maps are in use"));
        }
    }
}

const fn are_too_many(maps: u64, max: u64) -> bool {
    maps >= max.saturating_mul(MAPS_PERCENT) / 100
}

/// The number of memory maps of this process, where the system tells.
fn maps() -> Option<u64> {
    let mut file = File::open("/proc/self/maps").ok()?;
    let (mut buffer, mut lines) = (vec![0; 64 << 10], 0);
    loop {
        let read = file.read(&mut buffer).ok()?;
        if read == 0 {
            return Some(lines);
        }
        lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64;
    }
}

fn maps_max() -> Option<u64> {
    std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_the_maps_are_enough() {
        assert!(!are_too_many(52_423, 65_530));
        assert!(are_too_many(52_424, 65_530));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_some_maps_left() {
        let (maps, max) = (maps().expect("counted"), maps_max().expect("read"));
        assert!((10..max).contains(&maps), "{maps} of {max}");
    }

    #[test]
    fn too_many_libraries_are_told() {
        let wear = Wear::new(2);
        let mut reason = wear.watch();
        wear.mapped(1);
        assert!(!reason.has_changed().expect("it is there"));
        wear.mapped(2);
        assert_eq!(reason.borrow_and_update().as_deref(), Some("2 libraries are mapped"));
    }
}
