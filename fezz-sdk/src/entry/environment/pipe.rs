//! `popen(3)` and `pclose(3)`, whose shell gets the library's environment.

use std::ffi::{CStr, c_char, c_int};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use libc::FILE;

use super::exec::{fail, shell, wait};

/// The streams that were opened here, by address, and the process of each.
static OPEN: Mutex<Vec<(usize, libc::pid_t)>> = Mutex::new(Vec::new());

/// `popen(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn popen(command: *const c_char, mode: *const c_char) -> *mut FILE {
    // SAFETY: a text.
    let mode = unsafe { CStr::from_ptr(mode) }.to_bytes();
    let reads = mode.contains(&b'r');
    if reads == mode.contains(&b'w') {
        fail(libc::EINVAL);
        return ptr::null_mut();
    }
    let mut ends = [0; 2];
    // SAFETY: room for two.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } != 0 {
        return ptr::null_mut();
    }
    let [reader, writer] = ends;
    let (ours, theirs, number) = if reads { (reader, writer, 1) } else { (writer, reader, 0) };
    // SAFETY: the caller's text.
    let child = unsafe { spawn(command, theirs, number) };
    // SAFETY: of this function alone.
    unsafe { libc::close(theirs) };
    let Ok(child) = child.map_err(fail) else {
        // SAFETY: as above.
        unsafe { libc::close(ours) };
        return ptr::null_mut();
    };
    if !mode.contains(&b'e') {
        // SAFETY: as above.
        unsafe { libc::fcntl(ours, libc::F_SETFD, 0) };
    }
    // SAFETY: an open descriptor, which the stream takes.
    let stream = unsafe { libc::fdopen(ours, if reads { c"r" } else { c"w" }.as_ptr()) };
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).push((stream.addr(), child));
    stream
}

/// Starts a shell that has `theirs` as its descriptor `number`.
///
/// # Safety
/// `command` is a text.
unsafe fn spawn(command: *const c_char, theirs: c_int, number: c_int) -> Result<libc::pid_t, c_int> {
    let mut actions = MaybeUninit::uninit();
    // SAFETY: initialises them.
    let error = unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) };
    if error != 0 {
        return Err(error);
    }
    // SAFETY: initialised above.
    let error = unsafe { libc::posix_spawn_file_actions_adddup2(actions.as_mut_ptr(), theirs, number) };
    let child = if error == 0 {
        // SAFETY: the caller's text, and actions that are initialised.
        unsafe { shell(command, actions.as_ptr()) }
    } else {
        Err(error)
    };
    // SAFETY: initialised above, and not used again.
    unsafe { libc::posix_spawn_file_actions_destroy(actions.as_mut_ptr()) };
    child
}

/// `pclose(3)`, of a stream that was opened here.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn pclose(stream: *mut FILE) -> c_int {
    let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(index) = open.iter().position(|(address, _)| *address == stream.addr()) else {
        return fail(libc::ECHILD);
    };
    let (_, child) = open.swap_remove(index);
    drop(open);
    // SAFETY: the caller's stream, which is open.
    unsafe { libc::fclose(stream) };
    wait(child)
}
