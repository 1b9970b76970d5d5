//! The symbols: bound inside the library when it is linked, and never exported.
//!
//! Written in assembly, since Rust has hidden symbols of a given name in no other way: `#[no_mangle]` would export them, and
//! those of the library that was loaded last would become the host's.

use std::arch::global_asm;
use std::ffi::c_char;
use std::sync::atomic::AtomicPtr;

use super::{directory, exec, list, pipe};

#[cfg(target_arch = "x86_64")]
macro_rules! jump {
    () => {
        "jmp"
    };
}
#[cfg(target_arch = "aarch64")]
macro_rules! jump {
    () => {
        "b"
    };
}

/// A function of this name that goes on in one of ours.
macro_rules! hidden {
    ($($name:literal => $function:path;)*) => {$(
        global_asm!(
            concat!(".pushsection .text.fezz.", $name, ",\"ax\",@progbits"),
            concat!(".globl ", $name),
            concat!(".hidden ", $name),
            concat!(".type ", $name, ",@function"),
            concat!($name, ":"),
            concat!(jump!(), " {function}"),
            concat!(".size ", $name, ", .-", $name),
            ".popsection",
            function = sym $function,
        );
    )*};
}

hidden! {
    "getenv" => list::getenv;
    "secure_getenv" => list::getenv;
    "__secure_getenv" => list::getenv;
    "setenv" => list::setenv;
    "unsetenv" => list::unsetenv;
    "putenv" => list::putenv;
    "clearenv" => list::clearenv;
    "execv" => exec::execv;
    "execvp" => exec::execvp;
    "execvpe" => exec::execvpe;
    "posix_spawnp" => exec::posix_spawnp;
    "system" => exec::system;
    "popen" => pipe::popen;
    "pclose" => pipe::pclose;
}

// Names with `64` are the same functions here; the `__` ones are what C code calls that is compiled with `_FORTIFY_SOURCE`.
hidden! {
    "open" => directory::open;
    "open64" => directory::open;
    "__open_2" => directory::open;
    "__open64_2" => directory::open;
    "openat" => directory::openat;
    "openat64" => directory::openat;
    "__openat_2" => directory::openat;
    "__openat64_2" => directory::openat;
    "creat" => directory::creat;
    "creat64" => directory::creat;
    "stat" => directory::stat;
    "stat64" => directory::stat;
    "lstat" => directory::lstat;
    "lstat64" => directory::lstat;
    "fstatat" => directory::fstatat;
    "fstatat64" => directory::fstatat;
    "statx" => directory::statx;
    "access" => directory::access;
    "faccessat" => directory::faccessat;
    "readlink" => directory::readlink;
    "__readlink_chk" => directory::readlink;
    "readlinkat" => directory::readlinkat;
    "__readlinkat_chk" => directory::readlinkat;
    "mkdir" => directory::mkdir;
    "mkdirat" => directory::mkdirat;
    "unlink" => directory::unlink;
    "rmdir" => directory::rmdir;
    "unlinkat" => directory::unlinkat;
    "rename" => directory::rename;
    "renameat" => directory::renameat;
    "renameat2" => directory::renameat2;
    "link" => directory::link;
    "linkat" => directory::linkat;
    "symlink" => directory::symlink;
    "symlinkat" => directory::symlinkat;
    "chmod" => directory::chmod;
    "chown" => directory::chown;
    "lchown" => directory::lchown;
    "fchownat" => directory::fchownat;
    "utimensat" => directory::utimensat;
    "opendir" => directory::opendir;
    "scandir" => directory::scandir;
    "scandir64" => directory::scandir;
    "getcwd" => directory::getcwd;
    "__getcwd_chk" => directory::getcwd;
    "get_current_dir_name" => directory::get_current_dir_name;
    "realpath" => directory::realpath;
    "__realpath_chk" => directory::realpath;
    "canonicalize_file_name" => directory::canonicalize_file_name;
    "fopen" => directory::fopen;
    "fopen64" => directory::fopen;
}

// `environ` under its three names, a pointer to the list of variables.
global_asm!(
    ".pushsection .data.fezz.environ,\"aw\",@progbits",
    ".p2align 3",
    ".globl environ",
    ".hidden environ",
    ".globl __environ",
    ".hidden __environ",
    ".globl _environ",
    ".hidden _environ",
    ".type environ,@object",
    ".type __environ,@object",
    ".type _environ,@object",
    "environ:",
    "__environ:",
    "_environ:",
    ".quad {empty}",
    ".size environ, 8",
    ".size __environ, 8",
    ".size _environ, 8",
    ".popsection",
    empty = sym EMPTY,
);

/// The list before there are variables: constructors may read it.
static EMPTY: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());

/// In a program, such as a function's unit tests, there is no host: it keeps its environment.
mod program {
    use std::ffi::{c_char, c_int};

    use super::list;

    unsafe extern "C" {
        /// The start of the file that this is linked into, in memory; the linker defines it.
        static __ehdr_start: libc::Elf64_Ehdr;
    }

    // SAFETY: a constructor of the kind that glibc calls, with the arguments that it passes. Before those of std.
    #[used]
    #[unsafe(link_section = ".init_array.00098")]
    static ADOPT: extern "C" fn(c_int, *const *const c_char, *mut *mut c_char) = adopt;

    extern "C" fn adopt(_: c_int, _: *const *const c_char, environment: *mut *mut c_char) {
        let headers = (&raw const __ehdr_start).addr() + size_of::<libc::Elf64_Ehdr>();
        // SAFETY: reads a number that the kernel has passed.
        let of_program = unsafe { libc::getauxval(libc::AT_PHDR) };
        if usize::try_from(of_program) == Ok(headers) {
            list::adopt(environment);
        }
    }
}
