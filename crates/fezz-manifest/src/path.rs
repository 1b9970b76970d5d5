//! The key `path`: a route's pattern in the syntax of axum 0.8, restricted to paths that a request can match.
//!
//! A valid path means the same to this module and to matchit; a property test checks that.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// More than any URL needs, and below the 26 at which matchit panics: it names parameters with letters.
const MAX_PARAMS: usize = 16;

/// Longest path, in bytes.
pub(crate) const MAX_LENGTH: usize = 1024;

/// The schema's part of the rules; dot segments and duplicate names are left to the parser.
///
/// A literal is a `pchar` of RFC 3986 or an escaped brace. A segment begins with neither `:` nor `*`. Only the end of a
/// segment can be a parameter, and only that of the last one a wildcard.
pub(crate) const PATTERN: &str = concat!(
    r"^(/([A-Za-z0-9._~!$&'()+,;=@-]|%[0-9A-F]{2}|\{\{|\}\})",
    r"([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2}|\{\{|\}\})*",
    r"(\{[A-Za-z_][A-Za-z0-9_-]*\})?|/\{[A-Za-z_][A-Za-z0-9_-]*\})*",
    r"(/(([A-Za-z0-9._~!$&'()+,;=@-]|%[0-9A-F]{2}|\{\{|\}\})",
    r"([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2}|\{\{|\}\})*)?",
    r"(\{\*[A-Za-z_][A-Za-z0-9_-]*\})?)?$",
);

/// A valid path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The request path that it matches, if it has no parameters.
    pub(crate) literal: Option<String>,
}

/// Checks a path; each problem is one message.
pub(crate) fn check(path: &str) -> Result<Pattern, Vec<String>> {
    let Some(segments) = path.strip_prefix('/') else {
        return Err(vec![format!("must start with `/`; write `/{path}`")]);
    };
    if path.len() > MAX_LENGTH {
        return Err(vec![format!("has {} bytes; shorten it, at most {MAX_LENGTH} are allowed", path.len())]);
    }
    let mut parser = Parser::default();
    let mut segments = segments.split('/').peekable();
    while let Some(segment) = segments.next() {
        parser.literal.push('/');
        parser.segment(segment, segments.peek().is_none());
    }
    parser.finish()
}

#[derive(Default)]
struct Parser<'p> {
    /// The path with its escaped braces resolved.
    literal: String,
    params: Vec<&'p str>,
    problems: Vec<String>,
}

impl<'p> Parser<'p> {
    fn finish(mut self) -> Result<Pattern, Vec<String>> {
        if self.params.len() > MAX_PARAMS {
            self.problem(format!("has {} parameters; at most {MAX_PARAMS} are allowed", self.params.len()));
        }
        if !self.problems.is_empty() {
            return Err(self.problems);
        }
        Ok(Pattern { literal: self.params.is_empty().then_some(self.literal) })
    }

    /// Records a problem, unless it is a repetition.
    fn problem(&mut self, message: impl Into<String>) {
        let message = message.into();
        if !self.problems.contains(&message) {
            self.problems.push(message);
        }
    }

    fn segment(&mut self, segment: &'p str, last: bool) {
        match segment {
            "" if !last => return self.problem("holds `//`; write a single `/`"),
            "." | ".." => {
                return self.problem("holds `.` or `..` as a segment; write the path that it leads to");
            }
            _ => {}
        }
        if let Some(name) = segment.strip_prefix(':') {
            let name = if is_name(name) { name } else { "id" };
            return self.problem(format!("`{segment}` is the syntax of axum 0.7; write `{{{name}}}`"));
        }
        if let Some(name) = segment.strip_prefix('*') {
            let name = if is_name(name) { name } else { "rest" };
            return self.problem(format!("`{segment}` is the syntax of axum 0.7; write `{{*{name}}}`"));
        }
        self.parts(segment, last);
    }

    /// Literal text and escaped braces, then at most one parameter.
    fn parts(&mut self, segment: &'p str, last: bool) {
        let mut rest = segment;
        while let Some(brace) = rest.find(['{', '}']) {
            self.plain(&rest[..brace]);
            rest = &rest[brace..];
            if rest.starts_with("{{") || rest.starts_with("}}") {
                self.literal.push_str(&rest[..1]);
                rest = &rest[2..];
            } else if rest.starts_with('}') {
                return self.problem("has a `}` without its `{`; a literal brace is written `}}`");
            } else {
                return self.param(rest, last);
            }
        }
        self.plain(rest);
    }

    /// A parameter: `text` begins with its `{`, and must end with its `}`.
    fn param(&mut self, text: &'p str, last: bool) {
        let Some(end) = text.find('}') else {
            return self
                .problem("has a `{` without its `}` in the same segment; a literal brace is written `{{`");
        };
        let (param, after, name) = (&text[..=end], &text[end + 1..], &text[1..end]);
        if !after.is_empty() {
            self.problem(format!("has `{after}` after `{param}`; a parameter must end its segment"));
        }
        let wildcard = name.strip_prefix('*');
        if wildcard.is_some() && !last {
            self.problem(format!("has a wildcard `{param}` that is not at the end; use `{{name}}` there"));
        }
        self.name(wildcard.unwrap_or(name), param);
    }

    fn name(&mut self, name: &'p str, param: &str) {
        if name.is_empty() {
            self.problem(format!("has a parameter without a name, `{param}`; write `{{id}}` or `{{*rest}}`"));
        } else if !is_name(name) {
            self.problem(format!(
                "has a parameter named `{name}`; use letters, digits, `_` and `-`, with a letter or `_` first"
            ));
        } else if self.params.contains(&name) {
            self.problem(format!("has two parameters `{name}`; give each its own name"));
        }
        self.params.push(name);
    }

    /// Literal text, without braces.
    fn plain(&mut self, text: &str) {
        self.literal.push_str(text);
        for (i, c) in text.char_indices() {
            match c {
                '%' => self.percent(&text[i..]),
                'A'..='Z' | 'a'..='z' | '0'..='9' => {}
                _ if "-._~!$&'()*+,;=:@".contains(c) => {}
                _ => self.problem(invalid(c)),
            }
        }
    }

    /// An escape must be necessary and in the normal form, or no request would match it.
    fn percent(&mut self, text: &str) {
        let digits = text.get(1..3).unwrap_or_default();
        // `from_str_radix` alone would take `%+1`.
        let hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
        let Some(byte) = u8::from_str_radix(digits, 16).ok().filter(|_| hex) else {
            return self.problem(
                "has a `%` that two hexadecimal digits do not follow; a literal `%` is written `%25`",
            );
        };
        if byte == b'.' {
            self.problem(format!("holds `%{digits}`, an encoded dot; write `.`"));
        } else if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            self.problem(format!("holds `%{digits}`; write `{}`, which needs no encoding", char::from(byte)));
        } else if byte.is_ascii_control() {
            self.problem(format!("holds `%{digits}`, a control character; remove it"));
        } else if digits.contains(|c: char| c.is_ascii_lowercase()) {
            self.problem(format!("holds `%{digits}`; write `%{}`", digits.to_ascii_uppercase()));
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
}

/// The problem with a character that is invalid in a URL's path.
fn invalid(c: char) -> String {
    match c {
        '?' => "holds `?`; a route is a path only, the function gets the query with the request".to_owned(),
        '#' => "holds `#`; a fragment never reaches a server, remove it".to_owned(),
        c if c.is_control() => format!("holds the control character {c:?}; remove it"),
        c => format!("holds `{c}`; write it percent-encoded: `{}`", encoded(c)),
    }
}

fn encoded(c: char) -> String {
    utf8_percent_encode(c.encode_utf8(&mut [0; 4]), NON_ALPHANUMERIC).to_string()
}

#[cfg(test)]
mod tests;
