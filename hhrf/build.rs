//! Exports the program's own thread-specific keys, so that the libraries which it loads use them instead of libc's:
//! `fezz-runtime/src/sys/thread_keys.rs` says why.

use std::env;

const SYMBOLS: [&str; 7] = [
    "pthread_key_create",
    "__pthread_key_create",
    "pthread_key_delete",
    "pthread_getspecific",
    "__pthread_getspecific",
    "pthread_setspecific",
    "__pthread_setspecific",
];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |variable: &str, wanted: &str| env::var(variable).is_ok_and(|found| found == wanted);
    if is("CARGO_CFG_TARGET_OS", "linux") && is("CARGO_CFG_TARGET_ENV", "gnu") {
        for symbol in SYMBOLS {
            println!("cargo::rustc-link-arg-bins=-Wl,--export-dynamic-symbol={symbol}");
        }
    }
}
