//! What the library around the function has to be: one with a single function, that the host can load.
//!
//! The compiler does not tell a macro, but it was told itself: the macro runs in its process, and reads its arguments.
//! Where they are not the compiler's, as in an editor, nothing is said.

use std::sync::{Mutex, PoisonError};

use syn::{Error, Ident};

/// What is wrong with the library, if anything is.
pub(crate) fn check(function: &Ident) -> Option<Error> {
    let kind = Kind::of(std::env::args().skip(1))?;
    let message = kind.check().or_else(|| second(function))?;
    Some(Error::new(function.span(), message))
}

/// Two functions would export the same symbols. The compiler's process is there for one crate.
fn second(function: &Ident) -> Option<String> {
    static FIRST: Mutex<Option<String>> = Mutex::new(None);

    let mut first = FIRST.lock().unwrap_or_else(PoisonError::into_inner);
    let first = first.get_or_insert_with(|| function.to_string());
    (*function != *first).then(|| {
        format!(
            "a library holds one #[fezz_function], and `{first}` is it: look at `req.matched_route()`, serve a router, or make a library for each"
        )
    })
}

/// What the compiler was asked for.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A library that the host can load, or a program, a test or an example that has functions in it.
    Fine,
    /// A library of another kind.
    OtherLibrary,
}

impl Kind {
    /// None where these are no arguments of the compiler's.
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
