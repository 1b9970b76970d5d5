//! Fuzz target for the frames between host and worker. The input is what one of them sends to the other.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fezz_isolation::protocol::fuzz::check(input));
