//! Fuzz target for the guard's HTTP/1 framing. The input is what a client sends on one connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fezz_guard::fuzz::check(input));
