//! The key `entry`: the library of a function, as a file name or a bare library name.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};

/// Leaves room for the prefix and suffix of a library in a file name of 255 bytes.
const MAX_LENGTH: usize = 200;

/// The schema's part of the rules: no path separators and no control characters.
pub(crate) const PATTERN: &str = r"^[^/\\\u0000-\u001F\u007F]+$";

/// Accepts only the name of a file directly in the function's folder.
pub(crate) fn check(entry: &str) -> Result<(), String> {
    let hint =
        "write the name of the library in this folder, such as `libtodos.so`, or the bare name `todos`";
    let fault = if entry.trim().is_empty() {
        "must not be empty"
    } else if entry.contains(['/', '\\']) {
        "must be a file name, not a path"
    } else if entry.contains("..") || entry == "." {
        "must not hold `..` or be `.`"
    } else if entry.contains(char::is_control) {
        "must not hold control characters"
    } else if entry.len() > MAX_LENGTH {
        return Err(format!(
            "has {} bytes; rename the library, at most {MAX_LENGTH} are allowed",
            entry.len()
        ));
    } else {
        return Ok(());
    };
    Err(format!("{fault}; {hint}"))
}

/// The file name on this platform: a bare name (without a dot) becomes `libNAME.so` or `libNAME.dylib`.
pub(crate) fn file_name(entry: &str) -> String {
    if entry.contains('.') { entry.to_owned() } else { format!("{DLL_PREFIX}{entry}{DLL_SUFFIX}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_names_resolve_to_the_platforms_file_name() {
        assert_eq!(file_name("example_todosapi"), format!("{DLL_PREFIX}example_todosapi{DLL_SUFFIX}"));
        assert_eq!(file_name("libexample_todosapi.so"), "libexample_todosapi.so");
    }

    #[test]
    fn names_of_files_in_the_folder_pass() {
        for entry in ["libexample_todosapi.so", "example_todosapi", "todos.v2.dylib", "my-function"] {
            assert_eq!(check(entry), Ok(()), "{entry}");
        }
    }

    #[test]
    fn anything_that_could_leave_the_folder_is_refused() {
        for (entry, fault) in [
            ("", "empty"),
            ("  ", "empty"),
            ("/lib/libc.so", "not a path"),
            ("target/libx.so", "not a path"),
            ("..\\libx.so", "not a path"),
            ("..", "`..`"),
            (".", "`.`"),
            ("lib..so", "`..`"),
            ("lib\0.so", "control"),
            ("lib\n.so", "control"),
        ] {
            let message = check(entry).unwrap_err();
            assert!(message.contains(fault) && message.contains("libtodos.so"), "{entry:?}: {message}");
        }
        assert!(check(&"x".repeat(201)).unwrap_err().contains("at most 200"));
    }
}
