//! Parsing a request's path: the function's name and the rest. Refuses paths that two programs could read in two ways.

use std::borrow::Cow;

use memchr::{memchr, memchr2_iter};
use percent_encoding::percent_decode_str;

/// Where functions are served.
const PREFIX: &str = "/rpc/";

/// Why a path is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PathError {
    #[error("the path has an empty segment (`//`)")]
    EmptySegment,
    #[error("the path has a `.` or `..` segment")]
    DotSegment,
    #[error("the path has a NUL character")]
    Nul,
    #[error("the path has a `%` that two hexadecimal digits do not follow")]
    BadEscape,
    #[error("the function's name in the path is not UTF-8")]
    NotUtf8,
    #[error("the function's name in the path has an escape of a character that needs none; write it plainly")]
    NeedlessEscape,
}

/// A path below `/rpc/`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct FunctionPath<'a> {
    /// The function's name, decoded.
    pub(crate) function: Cow<'a, str>,
    /// Where the function's own path begins.
    pub(crate) path_start: usize,
}

impl<'a> FunctionPath<'a> {
    /// None for a path that names no function.
    pub(crate) fn parse(path: &'a str) -> Result<Option<Self>, PathError> {
        check(path)?;
        let Some(rest) = path.strip_prefix(PREFIX) else { return Ok(None) };
        let end = memchr(b'/', rest.as_bytes()).unwrap_or(rest.len());
        let name = &rest[..end];
        if name.is_empty() {
            return Ok(None);
        }
        let function = if memchr(b'%', name.as_bytes()).is_some() {
            check_escapes(name)?;
            percent_decode_str(name).decode_utf8().map_err(|_| PathError::NotUtf8)?
        } else {
            Cow::Borrowed(name)
        };
        Ok(Some(Self { function, path_start: PREFIX.len() + end }))
    }
}

/// A proxy in front may have rules for a function's path, and compare them with the path as it is written: no character of
/// a name may be written in another way. Only the `@` may, which some clients escape.
fn check_escapes(name: &str) -> Result<(), PathError> {
    let is_needless = |(at, _): (usize, &str)| {
        let byte = name.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        // RFC 3986, section 2.3.
        byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~'))
    };
    if name.match_indices('%').any(is_needless) { Err(PathError::NeedlessEscape) } else { Ok(()) }
}

/// Whether a whole path can be read in one way only.
fn check(path: &str) -> Result<(), PathError> {
    // Nearly every path has nothing that is worth a closer look.
    let bytes = path.as_bytes();
    let is_odd = |at: usize| bytes[at] == b'%' || matches!(bytes.get(at + 1), Some(b'/' | b'.'));
    if !memchr2_iter(b'/', b'%', bytes).any(is_odd) {
        return Ok(());
    }
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        // A slash at the very end leaves an empty segment behind it, which is none.
        if segment.is_empty() && segments.peek().is_some() {
            return Err(PathError::EmptySegment);
        }
        if segment.starts_with('.') || segment.contains('%') {
            check_segment(segment)?;
        }
    }
    Ok(())
}

fn check_segment(segment: &str) -> Result<(), PathError> {
    let bytes = segment.as_bytes();
    for (index, _) in segment.match_indices('%') {
        let digits = bytes.get(index + 1..index + 3);
        if !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) {
            return Err(PathError::BadEscape);
        }
    }
    let decoded: Cow<'_, [u8]> = percent_decode_str(segment).into();
    if decoded.contains(&0) {
        return Err(PathError::Nul);
    }
    // An encoded slash must not smuggle a dot segment in either.
    if decoded.split(|byte| *byte == b'/').any(|part| part == b"." || part == b"..") {
        return Err(PathError::DotSegment);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn parsed(path: &str) -> Result<(String, &str), PathError> {
        let target = FunctionPath::parse(path)?.expect("a function's name");
        Ok((target.function.into_owned(), &path[target.path_start..]))
    }

    #[test]
    fn a_path_is_split_behind_the_function() {
        for (path, function, rest) in [
            ("/rpc/todos", "todos", ""),
            ("/rpc/todos@latest/", "todos@latest", "/"),
            ("/rpc/todos%401.2.0/a/b%20c", "todos@1.2.0", "/a/b%20c"),
            ("/rpc/t/.well-known/a..b/x.", "t", "/.well-known/a..b/x."),
            ("/rpc/t/a%2Fb", "t", "/a%2Fb"),
        ] {
            assert_eq!(parsed(path), Ok((function.to_owned(), rest)), "{path}");
        }
    }

    #[test]
    fn other_paths_name_no_function() {
        for path in ["/", "/rpc", "/rpc/", "/rpcs/todos", "/favicon.ico", "*", ""] {
            assert_eq!(FunctionPath::parse(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn ambiguous_paths_are_refused() {
        for (path, error) in [
            ("/rpc//todos", PathError::EmptySegment),
            ("/rpc/todos//", PathError::EmptySegment),
            ("/rpc/todos/..", PathError::DotSegment),
            ("/rpc/todos/./x", PathError::DotSegment),
            ("/rpc/todos/%2e%2e/x", PathError::DotSegment),
            ("/rpc/todos/.%2E", PathError::DotSegment),
            ("/rpc/todos/a%2f..%2fb", PathError::DotSegment),
            ("/rpc/todos/%00", PathError::Nul),
            ("/rpc/todos/%", PathError::BadEscape),
            ("/rpc/todos/%4", PathError::BadEscape),
            ("/rpc/todos/%zz", PathError::BadEscape),
            ("/rpc/%ff", PathError::NotUtf8),
            ("/rpc/%74odos", PathError::NeedlessEscape),
            ("/rpc/todos%40%6Catest/x", PathError::NeedlessEscape),
            ("/rpc/todos@1%2e0.0", PathError::NeedlessEscape),
            ("/rpc/my%2Dfn", PathError::NeedlessEscape),
            ("//", PathError::EmptySegment),
            ("/a/..", PathError::DotSegment),
            ("/.", PathError::DotSegment),
            ("/a%", PathError::BadEscape),
        ] {
            assert_eq!(parsed(path), Err(error), "{path}");
        }
    }
}
