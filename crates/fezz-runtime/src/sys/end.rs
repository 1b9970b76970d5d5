//! The end of a process in which functions are loaded.

use libc::c_int;

/// Ends this process at once, without its exit handlers.
///
/// These would run destructors of loaded libraries while threads of theirs still run: a C++ thread that nobody has joined
/// aborts the process there. What a library has to do at its end, it does in `fezz_shutdown`.
pub fn end_process(code: u8) -> ! {
    // SAFETY: takes a number, and does not return.
    unsafe { libc::_exit(c_int::from(code)) }
}
