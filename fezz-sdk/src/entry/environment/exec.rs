//! The C functions that start programs with the environment: with the library's own, found along its own `PATH`.
//!
//! Some of it runs between `fork` and `exec`, where there is one thread and nothing may be allocated.

use std::ffi::{CStr, c_char, c_int};
use std::ptr;

use super::list;

/// Where programs are without a `PATH`, as in glibc.
const DEFAULT_PATH: &[u8] = b"/bin:/usr/bin";
/// Longest path, with its NUL.
pub(super) const PATH_BYTES: usize = 4096;
/// Arguments of a script that the shell is called for: there is no room for more.
const SCRIPT_ARGUMENTS: usize = 1024;

type Arguments = *const *const c_char;

/// Sets `errno`; answers with -1.
pub(super) fn fail(error: c_int) -> c_int {
    // SAFETY: this thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { errno.write(error) };
    -1
}

fn errno() -> c_int {
    // SAFETY: this thread's own.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    unsafe { errno.read() }
}

/// `execv(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn execv(path: *const c_char, arguments: Arguments) -> c_int {
    // SAFETY: the caller's; the list is one of variables.
    unsafe { libc::execve(path, arguments, list::current().cast_const().cast()) }
}

/// `execvp(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn execvp(file: *const c_char, arguments: Arguments) -> c_int {
    // SAFETY: the caller's; the list is one of variables.
    unsafe { execvpe(file, arguments, list::current().cast_const().cast()) }
}

/// `execvpe(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn execvpe(
    file: *const c_char,
    arguments: Arguments,
    environment: Arguments,
) -> c_int {
    // SAFETY: a text.
    let name = unsafe { CStr::from_ptr(file) };
    let error = search(name, |path| {
        // SAFETY: the caller's, and a path that is terminated.
        unsafe { libc::execve(path.as_ptr(), arguments, environment) };
        if errno() == libc::ENOEXEC {
            // SAFETY: as above.
            return unsafe { script(path, arguments, environment) };
        }
        errno()
    });
    fail(error)
}

/// A file that no loader knows is a script of the shell.
///
/// # Safety
/// As for [`execvpe`].
unsafe fn script(path: &CStr, arguments: Arguments, environment: Arguments) -> c_int {
    let mut all = [ptr::null(); SCRIPT_ARGUMENTS + 2];
    all[0] = c"/bin/sh".as_ptr();
    all[1] = path.as_ptr();
    let mut next = arguments;
    for slot in &mut all[2..] {
        // SAFETY: not beyond the null at the list's end.
        if unsafe { next.read() }.is_null() {
            break;
        }
        next = next.wrapping_add(1);
        // SAFETY: as above. The first argument is the name, which the path stands for.
        *slot = unsafe { next.read() };
    }
    if !all[SCRIPT_ARGUMENTS + 1].is_null() {
        return libc::E2BIG;
    }
    // SAFETY: a list that ends with a null, and the caller's.
    unsafe { libc::execve(c"/bin/sh".as_ptr(), all.as_ptr(), environment) };
    errno()
}

/// `posix_spawnp(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn posix_spawnp(
    pid: *mut libc::pid_t,
    file: *const c_char,
    actions: *const libc::posix_spawn_file_actions_t,
    attributes: *const libc::posix_spawnattr_t,
    arguments: *const *mut c_char,
    environment: *const *mut c_char,
) -> c_int {
    // SAFETY: a text.
    let name = unsafe { CStr::from_ptr(file) };
    search(name, |path| {
        // SAFETY: the caller's, and a path that is terminated.
        unsafe { libc::posix_spawn(pid, path.as_ptr(), actions, attributes, arguments, environment) }
    })
}

/// Tries the program of this name in each folder of `PATH`. `attempt` answers with an error number, or 0 if that is the end
/// of it.
fn search(name: &CStr, mut attempt: impl FnMut(&CStr) -> c_int) -> c_int {
    let bytes = name.to_bytes();
    if bytes.is_empty() {
        return libc::ENOENT;
    }
    if bytes.contains(&b'/') {
        return attempt(name);
    }
    let mut buffer = [0; PATH_BYTES];
    let mut denied = false;
    for folder in path().split(|byte| *byte == b':') {
        let Some(path) = joined(&mut buffer, folder, bytes) else { continue };
        match attempt(path) {
            libc::ENOENT | libc::ENOTDIR | libc::ESTALE | libc::ENODEV | libc::ETIMEDOUT => {}
            libc::EACCES => denied = true,
            end => return end,
        }
    }
    if denied { libc::EACCES } else { libc::ENOENT }
}

fn path<'a>() -> &'a [u8] {
    // SAFETY: a text.
    let path = unsafe { list::getenv(c"PATH".as_ptr()) };
    if path.is_null() {
        return DEFAULT_PATH;
    }
    // SAFETY: a text, which stays for a while after it was replaced.
    unsafe { CStr::from_ptr(path) }.to_bytes()
}

/// `folder/name`; an empty folder is the working directory. None if that is too long.
pub(super) fn joined<'a>(buffer: &'a mut [u8; PATH_BYTES], folder: &[u8], name: &[u8]) -> Option<&'a CStr> {
    let separator: &[u8] = if folder.is_empty() { b"" } else { b"/" };
    let mut end = 0;
    for part in [folder, separator, name, b"\0"] {
        buffer.get_mut(end..end + part.len())?.copy_from_slice(part);
        end += part.len();
    }
    CStr::from_bytes_with_nul(buffer.get(..end)?).ok()
}

/// `system(3)`. Other than libc's it leaves the signals of the process alone: they are the host's.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn system(command: *const c_char) -> c_int {
    if command.is_null() {
        return 1;
    }
    // SAFETY: the caller's text, and no actions.
    match unsafe { shell(command, ptr::null()) } {
        Ok(child) => wait(child),
        Err(error) => fail(error),
    }
}

/// Starts a shell that runs this command.
///
/// # Safety
/// `command` is a text; `actions` are null, or initialised.
pub(super) unsafe fn shell(
    command: *const c_char,
    actions: *const libc::posix_spawn_file_actions_t,
) -> Result<libc::pid_t, c_int> {
    let arguments =
        [c"sh".as_ptr().cast_mut(), c"-c".as_ptr().cast_mut(), command.cast_mut(), ptr::null_mut()];
    let (program, environment) = (c"/bin/sh".as_ptr(), list::current());
    let mut child = 0;
    // SAFETY: texts, in lists that end with a null, and the caller's actions.
    let error = unsafe {
        libc::posix_spawn(&raw mut child, program, actions, ptr::null(), arguments.as_ptr(), environment)
    };
    if error == 0 { Ok(child) } else { Err(error) }
}

/// Waits for the end of a child; answers with its status, or -1.
pub(super) fn wait(child: libc::pid_t) -> c_int {
    let mut status = 0;
    loop {
        // SAFETY: a number that can be written.
        if unsafe { libc::waitpid(child, &raw mut status, 0) } == child {
            return status;
        }
        if errno() != libc::EINTR {
            return -1;
        }
    }
}
