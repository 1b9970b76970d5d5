//! Room for static thread-local storage, which glibc sets aside when a process starts.
//!
//! Libraries with the initial-exec model (allocators such as mimalloc and jemalloc, much C code) take their thread-locals
//! from it when they are loaded, and give nothing back. glibc's own reserve of about 1,600 bytes is used up after a few of
//! them, and `dlopen` fails from then on. Only the environment of a new process can ask for more.

use super::environment::started_with;

/// The variable that glibc reads its tunables from.
const VARIABLE: &str = "GLIBC_TUNABLES";
/// The tunable, and its value in bytes: hundreds of libraries with mimalloc. It is taken from each thread's stack.
const TUNABLE: &str = "glibc.rtld.optional_static_tls";
const BYTES: usize = 256 << 10;

/// The stack of a thread that runs functions, in bytes: Rust's default, and what the reserve takes from it.
pub const THREAD_STACK_BYTES: usize = (2 << 20) + BYTES;

/// The variable that a process has to be started with in which functions are loaded; none where the system has no such
/// thing.
#[must_use]
pub fn variable() -> Option<(&'static str, String)> {
    let found = started_with(VARIABLE).and_then(|value| value.into_string().ok()).unwrap_or_default();
    cfg!(all(target_os = "linux", target_env = "gnu")).then(|| (VARIABLE, with_reserve(&found)))
}

/// Whether this process was started with it.
#[must_use]
pub fn is_reserved() -> bool {
    variable().is_none_or(|(name, wanted)| started_with(name).is_some_and(|found| *found == *wanted))
}

/// Removes the variable from the environment of a process that was started for one function: it has had its effect, and
/// the function is to see its own variables only. Does nothing where other threads may read the environment meanwhile.
pub fn forget() {
    let is_alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if is_alone {
        // SAFETY: the name ends in NUL, and there is no other thread.
        unsafe { libc::unsetenv(c"GLIBC_TUNABLES".as_ptr()) };
    }
}

/// Tunables with ours; an operator's own value of it stays.
fn with_reserve(found: &str) -> String {
    let is_set = found.split(':').any(|pair| pair.split('=').next() == Some(TUNABLE));
    match found {
        found if is_set => found.to_owned(),
        "" => format!("{TUNABLE}={BYTES}"),
        found => format!("{found}:{TUNABLE}={BYTES}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operators_tunables_stay() {
        let ours = "glibc.rtld.optional_static_tls=262144";
        assert_eq!(with_reserve(""), ours);
        let arena = "glibc.malloc.arena_max=2";
        assert_eq!(with_reserve(arena), format!("{arena}:{ours}"));
        let own = "glibc.rtld.optional_static_tls=1024:glibc.malloc.arena_max=2";
        assert_eq!(with_reserve(own), own);
        assert_eq!(with_reserve(&with_reserve("")), ours);
    }
}
