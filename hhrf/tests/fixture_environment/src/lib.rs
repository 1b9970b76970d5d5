//! Tells what it sees of its environment.

#![expect(unsafe_code, reason = "calls C code")]

use std::ffi::{CStr, c_char, c_int};
use std::process::Command;

use fezz_sdk::fezz_function;

unsafe extern "C" {
    fn native_variable(name: *const c_char) -> *const c_char;
    fn native_changes() -> c_int;
}

/// By std, by C code, by programs that std starts in both of its ways, and how many there are after changes in C.
#[fezz_function]
pub fn environment() -> String {
    // SAFETY: a text.
    let native = unsafe { native_variable(c"GREETING".as_ptr()) };
    // SAFETY: a text; never null.
    let native = unsafe { CStr::from_ptr(native) }.to_string_lossy().into_owned();
    let script = "echo $GREETING$A";
    let output = |command: &mut Command| {
        let output = command.args(["-c", script]).output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    let spawned = output(&mut Command::new("sh"));
    // With a PATH of its own, std forks.
    let forked =
        output(Command::new("sh").env("A", "1").env("PATH", std::env::var_os("PATH").unwrap_or_default()));
    // SAFETY: takes nothing.
    let listed = unsafe { native_changes() };
    let seen = |name| std::env::var(name).unwrap_or_else(|_| "unset".to_owned());
    let counted = i64::from(listed) - i64::try_from(std::env::vars().count()).unwrap_or_default();
    format!(
        "{} {native} {spawned} {forked} {}{}{} {counted} {}",
        seen("GREETING"),
        seen("SET"),
        seen("PUT"),
        seen("REMOVED"),
        seen("HHRF_LISTEN")
    )
}
