//! The C code in this library.

#![expect(unsafe_code, reason = "calls C code")]

use std::ffi::{CStr, CString, c_char, c_int, c_long};

unsafe extern "C" {
    fn native_variable(name: *const c_char) -> *const c_char;
    fn native_has(name: *const c_char) -> c_int;
    fn native_system(command: *const c_char) -> c_int;
    fn native_popen(name: *const c_char, value: *const c_char) -> c_int;
    fn native_offset() -> c_long;
    fn native_files(folder: *const c_char, path: *const c_char) -> *const c_char;
}

fn text(text: &str) -> CString {
    CString::new(text).unwrap_or_default()
}

pub(crate) fn variable(name: &str) -> String {
    let name = text(name);
    // SAFETY: a text.
    let value = unsafe { native_variable(name.as_ptr()) };
    // SAFETY: a text; never null.
    unsafe { CStr::from_ptr(value) }.to_string_lossy().into_owned()
}

pub(crate) fn has(name: &str) -> bool {
    let name = text(name);
    // SAFETY: a text.
    unsafe { native_has(name.as_ptr()) != 0 }
}

pub(crate) fn system(command: &str) -> i32 {
    let command = text(command);
    // SAFETY: a text.
    unsafe { native_system(command.as_ptr()) }
}

pub(crate) fn pipes_see(name: &str, value: &str) -> bool {
    let (name, value) = (text(name), text(value));
    // SAFETY: two texts.
    unsafe { native_popen(name.as_ptr(), value.as_ptr()) != 0 }
}

pub(crate) fn offset_minutes() -> i64 {
    // SAFETY: takes nothing.
    unsafe { native_offset() }
}

/// The call that does not find this file, or "none".
pub(crate) fn files(folder: &str, path: &str) -> String {
    let (folder, path) = (text(folder), text(path));
    // SAFETY: two texts.
    let call = unsafe { native_files(folder.as_ptr(), path.as_ptr()) };
    // SAFETY: a text; never null.
    unsafe { CStr::from_ptr(call) }.to_string_lossy().into_owned()
}

/// As a program may, at least with one thread.
#[expect(clippy::disallowed_methods, reason = "the library has an environment of its own")]
pub(crate) fn set_variable(name: &str, value: &str) {
    // SAFETY: the other readers of this library's environment are std's, which takes a lock.
    unsafe { std::env::set_var(name, value) };
}
