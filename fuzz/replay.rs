//! Replay of a fuzz target's corpus, for the tests of the fuzzed crates: they run on stable Rust, without libFuzzer.

use std::fs;
use std::path::Path;

/// Runs `check` on each file in the corpus of `target`.
///
/// # Panics
///
/// If the corpus is missing or empty, or if `check` panics; the file that was printed last is the cause.
#[allow(clippy::print_stdout, reason = "the test harness shows it only for a test that fails")]
pub(crate) fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut count = 0;
    for entry in entries {
        let file = entry.expect("an entry of the corpus").path();
        println!("{}", file.display());
        check(&fs::read(file).expect("a file of the corpus"));
        count += 1;
    }
    assert!(count > 0, "{} is empty", folder.display());
}
