//! Changing the environment of this process.

use std::io;

/// Sets these environment variables of this process.
///
/// # Errors
/// If the process has more than one thread, since another one may be reading them; or if that cannot be told.
#[expect(clippy::disallowed_methods, reason = "safe where there is one thread")]
pub fn set_environment(variables: impl IntoIterator<Item = (String, String)>) -> io::Result<()> {
    let threads = std::fs::read_dir("/proc/self/task")?.count();
    if threads != 1 {
        return Err(io::Error::other(format!("the environment of a process with {threads} threads")));
    }
    for (name, value) in variables {
        // SAFETY: no other thread reads the environment, since there is none.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_threads_keeps_its_environment() {
        // The test runs on one, beside the main one.
        let set = || set_environment([("FEZZ_TEST_VARIABLE".to_owned(), "x".to_owned())]);
        let error = std::thread::spawn(set).join().unwrap().unwrap_err();
        assert!(error.to_string().contains("threads"), "{error}");
        assert!(std::env::var_os("FEZZ_TEST_VARIABLE").is_none());
    }
}
