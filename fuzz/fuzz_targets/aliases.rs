//! Fuzz target for the parser of `aliases.json`. The input is a file.
#![no_main]

#[path = "../../crates/fezz-manifest/tests/it/checks/aliases.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|input: &[u8]| check::check(input));
