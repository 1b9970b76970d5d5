//! Replays the corpus of the fuzz target.

use std::fs;
use std::path::Path;

use crate::fuzz;

#[test]
fn the_corpus_passes_all_checks() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        fuzz::check(&fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 20, "{count} files");
}
