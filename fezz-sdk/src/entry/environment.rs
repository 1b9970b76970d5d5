//! The library's own environment and working directory.
//!
//! The environment belongs to a process, and a process has many functions. So the C functions that read and change it, and
//! those that pass it on to a new program, are defined once more in here, as *hidden* symbols (`symbols`): whatever is linked
//! into the library uses these, be it `std::env`, `std::process::Command`, a crate, or a static library of C code. Nothing
//! else sees them, and nobody else's variables are seen here. Exported instead, they would be the process' own, in which libc's
//! come first.
//!
//! The working directory belongs to a process as well, and so do the C functions that take a path (`directory`).
//!
//! What they cannot reach is libc itself: `localtime_r` reads its own `TZ`, `execl` passes on its own environment, `dlopen`
//! and new programs have the process' working directory. Nor do they reach code that makes its own system calls, as the
//! crate rustix does. The same holds for C libraries that are loaded as files of their own. The host keeps the process' environment near-empty
//! for these.
//!
//! Elsewhere than on Linux with glibc, on x86-64 and AArch64, there is none of this: `std::env` has the process' environment
//! there, and variables are read with [`variable`](crate::variable), files found with
//! [`assets`](crate::assets).

mod directory;
mod exec;
mod list;
mod pipe;
mod symbols;

use std::io;
use std::path::Path;

/// What a function has besides its variables, from the process that it is in: where programs are, in which language they
/// speak, and where a worker may put its temporary files.
const INHERITED: [&std::ffi::CStr; 3] = [c"PATH", c"LANG", c"TMPDIR"];

/// Sets the function's variables. Those that it has set itself stay, unless they have these names.
pub(super) fn fill<'a>(variables: impl Iterator<Item = (&'a str, &'a str)>) {
    for name in INHERITED {
        if let Some(value) = list::of_the_process(name) {
            list::set(name.to_bytes(), value.to_bytes(), true);
        }
    }
    for (name, value) in variables {
        list::set(name.as_bytes(), value.as_bytes(), true);
    }
}

/// Has relative paths mean what is in this folder.
pub(super) fn work_in(folder: &Path) -> io::Result<()> {
    directory::enter(folder)
}
