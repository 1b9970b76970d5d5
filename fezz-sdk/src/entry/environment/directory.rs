//! The library's own working directory: the folder with the files that were deployed beside it.
//!
//! A process has one working directory, and many functions. So the C functions that take a path are among the hidden
//! symbols. Each makes the system call that looks for a relative path in a given folder, and passes ours where the caller
//! means the working directory. The kernel ignores it for an absolute path. So nothing is copied, allocated or looked at.
//!
//! Without a folder, as in a program or a function without files, they do what libc's do.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

use libc::{AT_FDCWD, DIR, FILE, mode_t};

use super::exec::{PATH_BYTES, fail, joined};

/// A descriptor of the folder, never closed; else the working directory of the process.
static FOLDER: AtomicI32 = AtomicI32::new(AT_FDCWD);
/// The folder's path. Set before [`FOLDER`] is.
static PATH: OnceLock<CString> = OnceLock::new();

/// Has relative paths mean what is in this folder, from now on. Where it is the process' working directory, as in a worker,
/// they do, and go on to do what `chdir` says.
pub(super) fn enter(folder: &Path) -> io::Result<()> {
    if PATH.get().is_some() || is_current(folder)? {
        return Ok(());
    }
    let path = CString::new(folder.as_os_str().as_bytes())?;
    let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
    // SAFETY: a terminated path.
    let descriptor = unsafe { libc::open64(path.as_ptr(), flags) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // One set-up runs at a time.
    PATH.get_or_init(|| path);
    FOLDER.store(descriptor, Ordering::Release);
    Ok(())
}

fn is_current(folder: &Path) -> io::Result<bool> {
    let identity = |path: &Path| path.metadata().map(|file| (file.dev(), file.ino()));
    // The process' own may be gone.
    Ok(identity(Path::new(".")).ok() == Some(identity(folder)?))
}

/// The folder in which a call looks for relative paths.
fn base(folder: c_int) -> c_int {
    if folder == AT_FDCWD { FOLDER.load(Ordering::Acquire) } else { folder }
}

/// Functions of libc, each as one system call. All answer with its result, of which C code takes the lower half for an `int`;
/// `syscall` sets `errno`.
macro_rules! calls {
    ($($name:ident($($argument:ident: $type:ty),*) = $call:ident($($passed:expr),*);)*) => {$(
        #[doc = concat!("`", stringify!($name), "(2)`.")]
        ///
        /// # Safety
        /// As for libc's.
        pub(super) unsafe extern "C" fn $name($($argument: $type),*) -> c_long {
            // SAFETY: what this system call takes, from the caller.
            unsafe { libc::syscall(libc::$call, $($passed),*) }
        }
    )*};
}

type Text = *const c_char;

// The mode of `open` is where a third argument would be if there is none: the kernel looks at it where it makes a file.
calls! {
    open(path: Text, flags: c_int, mode: mode_t) = SYS_openat(base(AT_FDCWD), path, flags, mode);
    openat(folder: c_int, path: Text, flags: c_int, mode: mode_t) = SYS_openat(base(folder), path, flags, mode);
    creat(path: Text, mode: mode_t)
        = SYS_openat(base(AT_FDCWD), path, libc::O_CREAT | libc::O_WRONLY | libc::O_TRUNC, mode);

    stat(path: Text, file: *mut libc::stat) = SYS_newfstatat(base(AT_FDCWD), path, file, 0);
    lstat(path: Text, file: *mut libc::stat)
        = SYS_newfstatat(base(AT_FDCWD), path, file, libc::AT_SYMLINK_NOFOLLOW);
    fstatat(folder: c_int, path: Text, file: *mut libc::stat, flags: c_int)
        = SYS_newfstatat(base(folder), path, file, flags);
    statx(folder: c_int, path: Text, flags: c_int, mask: c_uint, file: *mut libc::statx)
        = SYS_statx(base(folder), path, flags, mask, file);
    access(path: Text, mode: c_int) = SYS_faccessat(base(AT_FDCWD), path, mode);
    faccessat(folder: c_int, path: Text, mode: c_int, flags: c_int)
        = SYS_faccessat2(base(folder), path, mode, flags);
    readlink(path: Text, buffer: *mut c_char, size: usize)
        = SYS_readlinkat(base(AT_FDCWD), path, buffer, size);
    readlinkat(folder: c_int, path: Text, buffer: *mut c_char, size: usize)
        = SYS_readlinkat(base(folder), path, buffer, size);

    mkdir(path: Text, mode: mode_t) = SYS_mkdirat(base(AT_FDCWD), path, mode);
    mkdirat(folder: c_int, path: Text, mode: mode_t) = SYS_mkdirat(base(folder), path, mode);
    unlink(path: Text) = SYS_unlinkat(base(AT_FDCWD), path, 0);
    rmdir(path: Text) = SYS_unlinkat(base(AT_FDCWD), path, libc::AT_REMOVEDIR);
    unlinkat(folder: c_int, path: Text, flags: c_int) = SYS_unlinkat(base(folder), path, flags);
    rename(from: Text, to: Text) = SYS_renameat2(base(AT_FDCWD), from, base(AT_FDCWD), to, 0);
    renameat(folder: c_int, from: Text, other: c_int, to: Text)
        = SYS_renameat2(base(folder), from, base(other), to, 0);
    renameat2(folder: c_int, from: Text, other: c_int, to: Text, flags: c_uint)
        = SYS_renameat2(base(folder), from, base(other), to, flags);
    link(from: Text, to: Text) = SYS_linkat(base(AT_FDCWD), from, base(AT_FDCWD), to, 0);
    linkat(folder: c_int, from: Text, other: c_int, to: Text, flags: c_int)
        = SYS_linkat(base(folder), from, base(other), to, flags);
    symlink(text: Text, path: Text) = SYS_symlinkat(text, base(AT_FDCWD), path);
    symlinkat(text: Text, folder: c_int, path: Text) = SYS_symlinkat(text, base(folder), path);
    chmod(path: Text, mode: mode_t) = SYS_fchmodat(base(AT_FDCWD), path, mode);
    chown(path: Text, user: c_uint, group: c_uint) = SYS_fchownat(base(AT_FDCWD), path, user, group, 0);
    lchown(path: Text, user: c_uint, group: c_uint)
        = SYS_fchownat(base(AT_FDCWD), path, user, group, libc::AT_SYMLINK_NOFOLLOW);
    fchownat(folder: c_int, path: Text, user: c_uint, group: c_uint, flags: c_int)
        = SYS_fchownat(base(folder), path, user, group, flags);
    utimensat(folder: c_int, path: Text, times: *const libc::timespec, flags: c_int)
        = SYS_utimensat(base(folder), path, times, flags);
}

/// `opendir(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn opendir(path: Text) -> *mut DIR {
    let flags = libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC | libc::O_NONBLOCK;
    // SAFETY: the caller's path.
    let descriptor = unsafe { libc::open64(path, flags) };
    if descriptor < 0 {
        return std::ptr::null_mut();
    }
    // SAFETY: an open descriptor, which the stream takes.
    let folder = unsafe { libc::fdopendir(descriptor) };
    if folder.is_null() {
        // SAFETY: of this function alone.
        unsafe { libc::close(descriptor) };
    }
    folder
}

type Chosen = unsafe extern "C" fn(*const libc::dirent) -> c_int;
type Order = unsafe extern "C" fn(*mut *const libc::dirent, *mut *const libc::dirent) -> c_int;

unsafe extern "C" {
    fn scandirat(
        folder: c_int,
        path: Text,
        names: *mut *mut *mut libc::dirent,
        chosen: Option<Chosen>,
        order: Option<Order>,
    ) -> c_int;
}

/// `scandir(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn scandir(
    path: Text,
    names: *mut *mut *mut libc::dirent,
    chosen: Option<Chosen>,
    order: Option<Order>,
) -> c_int {
    // SAFETY: the caller's.
    unsafe { scandirat(base(AT_FDCWD), path, names, chosen, order) }
}

/// `getcwd(3)`, which gives as much memory as is needed where it is given none.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn getcwd(buffer: *mut c_char, size: usize) -> *mut c_char {
    let Some(path) = PATH.get() else {
        // SAFETY: the caller's buffer, for libc's function.
        return unsafe { of_libc(c"getcwd", buffer.cast(), std::ptr::without_provenance_mut(size)) }.cast();
    };
    let path = path.as_bytes_with_nul();
    if size != 0 && size < path.len() {
        fail(libc::ERANGE);
        return std::ptr::null_mut();
    }
    let room = match (buffer.is_null(), size) {
        (true, 0) => path.len(),
        (true, size) => size,
        (false, 0) => {
            fail(libc::EINVAL);
            return std::ptr::null_mut();
        }
        (false, _) => 0,
    };
    // SAFETY: some bytes.
    let target = if room > 0 { unsafe { libc::malloc(room) }.cast() } else { buffer };
    if !target.is_null() {
        // SAFETY: there is room, as was found above.
        unsafe { target.copy_from_nonoverlapping(path.as_ptr().cast(), path.len()) };
    }
    target
}

/// `get_current_dir_name(3)`.
pub(super) unsafe extern "C" fn get_current_dir_name() -> *mut c_char {
    // SAFETY: it allocates.
    unsafe { getcwd(std::ptr::null_mut(), 0) }
}

/// `realpath(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn realpath(path: Text, resolved: *mut c_char) -> *mut c_char {
    // SAFETY: the caller's, for a function of this type.
    unsafe { with_whole_path(c"realpath", path, resolved.cast()) }.cast()
}

/// `canonicalize_file_name(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn canonicalize_file_name(path: Text) -> *mut c_char {
    // SAFETY: the caller's; it allocates.
    unsafe { realpath(path, std::ptr::null_mut()) }
}

/// `fopen(3)`.
///
/// # Safety
/// As for libc's.
pub(super) unsafe extern "C" fn fopen(path: Text, mode: Text) -> *mut FILE {
    // SAFETY: the caller's, for a function of this type.
    unsafe { with_whole_path(c"fopen64", path, mode.cast_mut().cast()) }.cast()
}

/// Calls a function that has no counterpart with a folder, with the path in the folder.
///
/// # Safety
/// As for this function of libc, which takes a path and another pointer.
unsafe fn with_whole_path(function: &CStr, path: Text, other: *mut c_void) -> *mut c_void {
    let mut buffer = [0; PATH_BYTES];
    let whole = match PATH.get() {
        Some(folder) if !path.is_null() => {
            // SAFETY: a text of the caller's.
            let name = unsafe { CStr::from_ptr(path) };
            if name.is_empty() || name.to_bytes().starts_with(b"/") {
                path
            } else if let Some(whole) = joined(&mut buffer, folder.to_bytes(), name.to_bytes()) {
                whole.as_ptr()
            } else {
                fail(libc::ENAMETOOLONG);
                return std::ptr::null_mut();
            }
        }
        _ => path,
    };
    // SAFETY: the caller's; the path is terminated.
    unsafe { of_libc(function, whole.cast_mut().cast(), other) }
}

/// Calls libc's own function.
///
/// # Safety
/// As for this function, which takes two pointers or numbers of their size, and answers with a pointer.
unsafe fn of_libc(name: &CStr, first: *mut c_void, second: *mut c_void) -> *mut c_void {
    type Function = unsafe extern "C" fn(*mut c_void, *mut c_void) -> *mut c_void;
    // SAFETY: the names are terminated. Ours are hidden, and not found.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: null, or a function that the caller vouches for.
    let Some(function) = (unsafe { std::mem::transmute::<*mut c_void, Option<Function>>(found) }) else {
        fail(libc::ENOSYS);
        return std::ptr::null_mut();
    };
    // SAFETY: the caller vouches for the arguments.
    unsafe { function(first, second) }
}
