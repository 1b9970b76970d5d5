//! Fuzz target for the parser of `mounts.json`. The input is a file.
#![no_main]

#[path = "../../crates/fezz-manifest/tests/it/checks/mounts.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
