//! Replays the corpus of the fuzz target.

use crate::fuzz;

#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_corpus_passes_all_checks() {
    replay::replay("guard", fuzz::check);
}
