//! Replays the corpora of the fuzz targets.

use crate::checks::{aliases, env_file, manifest, mounts};

#[path = "../../../../fuzz/replay.rs"]
mod replay;

#[test]
fn the_manifests_pass_all_checks() {
    replay::replay("manifest", manifest::check);
}

#[test]
fn the_aliases_pass_all_checks() {
    replay::replay("aliases", aliases::check);
}

#[test]
fn the_env_files_pass_all_checks() {
    replay::replay("env_file", env_file::check);
}

#[test]
fn the_mounts_pass_all_checks() {
    replay::replay("mounts", mounts::check);
}
