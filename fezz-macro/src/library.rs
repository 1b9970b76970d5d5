//! Checks the library around the function: it must be a `cdylib` with one such function.
//!
//! A macro cannot ask the compiler for the crate type. But it runs in the compiler's process, and reads the arguments of
//! that. In another process, such as an editor's, nothing is checked.

use std::sync::OnceLock;

use syn::{Error, Ident};

/// The error of the library, if any.
pub(crate) fn check(function: &Ident) -> Option<Error> {
    let kind = Kind::of(std::env::args().skip(1))?;
    let message = kind.check().or_else(|| second(function))?;
    Some(Error::new(function.span(), message))
}

/// Refuses a second function: both would export the same symbols. The compiler's process compiles one crate.
fn second(function: &Ident) -> Option<String> {
    static FIRST: OnceLock<String> = OnceLock::new();

    let first = FIRST.get_or_init(|| function.to_string());
    (*function != *first).then(|| {
        format!(
            "a library holds one #[fezz_function], and `{first}` is it: look at `req.matched_route()`, serve a router, or make a library for each"
        )
    })
}

/// The crate type that the compiler builds.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A `cdylib`, or a program, a test or an example with functions in it.
    Fine,
    /// A library of another type.
    OtherLibrary,
}

impl Kind {
    /// None if these are not the compiler's arguments.
    fn of(arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut arguments = arguments.peekable();
        let (mut kinds, mut is_test) = (Vec::new(), false);
        while let Some(argument) = arguments.next() {
            match argument.split_once('=').unwrap_or((&argument, "")) {
                ("--crate-type", "") => kinds.extend(arguments.next()),
                ("--crate-type", kind) => kinds.push(kind.to_owned()),
                ("--test", _) => is_test = true,
                _ => {}
            }
        }
        let kinds: Vec<_> = kinds.iter().flat_map(|kind| kind.split(',')).collect();
        if kinds.is_empty() && !is_test {
            return None;
        }
        let is_fine = is_test || kinds.iter().any(|kind| matches!(*kind, "cdylib" | "bin"));
        Some(if is_fine { Self::Fine } else { Self::OtherLibrary })
    }

    fn check(&self) -> Option<String> {
        let message = "the host loads libraries of the kind cdylib; write in Cargo.toml: [lib] crate-type = [\"cdylib\"]";
        (*self == Self::OtherLibrary).then(|| message.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compilers_arguments_are_read() {
        let kind = |text: &str| Kind::of(text.split(' ').map(str::to_owned));
        assert_eq!(kind("--crate-name a src/lib.rs --crate-type cdylib --crate-type rlib"), Some(Kind::Fine));
        assert_eq!(kind("--crate-type=rlib,cdylib"), Some(Kind::Fine));
        assert_eq!(kind("--crate-type bin"), Some(Kind::Fine));
        assert_eq!(kind("--crate-name a --test"), Some(Kind::Fine));
        assert_eq!(kind("--crate-type lib --emit=metadata"), Some(Kind::OtherLibrary));
        assert_eq!(kind("--nocapture"), None);
    }
}
