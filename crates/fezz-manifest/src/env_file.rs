//! A parser for `.env` files: one variable a line.
//!
//! Existing crates stop at the first error, show the line in it, and substitute variables. This parser reports all
//! problems at once, shows no part of a line (it may be a secret), and takes `$` literally.

use std::collections::{BTreeMap, HashMap};

use crate::problem::{Problem, Problems};
use crate::variables::{NAME_RULE, is_name};

/// The largest accepted `.env` file, in bytes.
pub const MAX_ENV_FILE_BYTES: usize = 256 * 1024;

/// White space within a line.
const BLANK: [char; 2] = [' ', '\t'];

/// Parses a `.env` file. The error holds all of its problems, each with `line 3` as its path, and no part of the file's
/// text.
///
/// ```
/// let variables = fezz_manifest::parse_env_file(br#"
///     ## the database
///     export DATABASE=todos.db   # beside the binary
///     PRICE='5 $'
///     GREETING="Hello,\nworld"
/// "#)?;
/// assert_eq!(variables["DATABASE"], "todos.db");
/// assert_eq!(variables["PRICE"], "5 $");
/// assert_eq!(variables["GREETING"], "Hello,\nworld");
/// # Ok::<(), fezz_manifest::Problems>(())
/// ```
pub fn parse_env_file(text: &[u8]) -> Result<BTreeMap<String, String>, Problems> {
    if let Some(message) = not_worth_parsing(text) {
        return Err(problem(1, message).into());
    }
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut found = invalid_bytes(text);
    // Invalid UTF-8 is in `found` already; the rest of the file is still checked.
    let text = String::from_utf8_lossy(text).replace("\r\n", "\n");
    let mut reader = Reader { rest: &text, line: 1, found: Vec::new() };
    let variables = reader.variables();
    found.append(&mut reader.found);
    found.sort_by_key(|(line, _)| *line);
    Problems::check(found.into_iter().map(|(line, message)| problem(line, message)).collect())?;
    Ok(variables)
}

fn problem(line: usize, message: String) -> Problem {
    Problem { path: format!("line {line}"), message }
}

fn not_worth_parsing(text: &[u8]) -> Option<String> {
    if text.len() > MAX_ENV_FILE_BYTES {
        return Some(format!("the file has {} bytes; at most {MAX_ENV_FILE_BYTES} are read", text.len()));
    }
    let utf16 = text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF");
    utf16.then(|| "the file is in UTF-16; save it as UTF-8".to_owned())
}

/// Bytes that are invalid anywhere in a `.env` file: one problem of each kind a line.
fn invalid_bytes(text: &[u8]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (i, line) in text.split_inclusive(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r\n").unwrap_or(line);
        let mut refuse = |message: &str| found.push((i + 1, message.to_owned()));
        if std::str::from_utf8(line).is_err() {
            refuse("is not UTF-8; save the file as UTF-8");
        }
        if line.contains(&b'\0') {
            refuse("holds a NUL character; remove it");
        }
        if line.contains(&b'\r') {
            refuse("holds a carriage return that ends no line; write it as `\\r` in double quotes");
        }
    }
    found
}

/// The state of the parser.
struct Reader<'t> {
    /// The unread part of the file.
    rest: &'t str,
    /// The number of the line in which `rest` begins.
    line: usize,
    /// Problems so far, with their lines.
    found: Vec<(usize, String)>,
}

impl<'t> Reader<'t> {
    fn variables(&mut self) -> BTreeMap<String, String> {
        let mut variables = BTreeMap::new();
        let mut lines = HashMap::new();
        while !self.rest.is_empty() {
            let line = self.line;
            let Some((name, value)) = self.variable() else { continue };
            if let Some(earlier) = lines.get(name) {
                self.refuse(line, format!("this name is set already at line {earlier}; keep one of them"));
                continue;
            }
            lines.insert(name, line);
            variables.insert(name.to_owned(), value);
        }
        variables
    }

    /// Reads one line, or more for a quoted value that spans lines. A variable with an invalid value is returned too, so
    /// that a duplicate of its name is reported.
    fn variable(&mut self) -> Option<(&'t str, String)> {
        let number = self.line;
        let line = self.rest.split('\n').next().unwrap_or_default();
        let text = line.trim_start_matches(BLANK);
        if text.is_empty() || text.starts_with('#') {
            self.take_line();
            return None;
        }
        let Some(equals) = line.find('=') else {
            self.refuse(number, "has no `=`; write NAME=value, and quotes around a value that spans lines");
            self.take_line();
            return None;
        };
        let name = without_export(line[..equals].trim_matches(BLANK));
        let is_valid = is_name(name);
        if !is_valid {
            self.refuse(number, format!("what stands before the `=` {NAME_RULE}"));
        }
        self.take(equals + 1);
        let value = self.value();
        is_valid.then_some((name, value))
    }

    /// Reads what follows the `=`, to the end of its last line.
    fn value(&mut self) -> String {
        let text = self.rest.trim_start_matches(BLANK);
        let Some(quote) = text.chars().next().filter(|c| matches!(c, '\'' | '"')) else {
            return unquoted(self.take_line());
        };
        let opened = self.line;
        let Some(length) = closing(&text[1..], quote) else {
            // Most likely the quote is the mistake, so the following lines are parsed as usual.
            self.refuse(opened, "opens a quote that is never closed; close it, or use the other kind");
            self.take_line();
            return String::new();
        };
        self.take(self.rest.len() - text.len() + 1);
        let inner = self.take(length);
        let closed = self.line;
        self.take(1);
        if !unquoted(self.take_line()).is_empty() {
            let message = format!(
                "text follows the quote that closes the value of line {opened}; \
                 put all of the value in one pair of quotes, or write ` #` before a comment"
            );
            self.refuse(closed, message);
        }
        if quote == '"' { self.unescape(inner, opened) } else { inner.to_owned() }
    }

    /// Resolves the escapes of a double-quoted value that begins in `line`.
    fn unescape(&mut self, text: &str, mut line: usize) -> String {
        let mut value = String::with_capacity(text.len());
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            line += usize::from(c == '\n');
            if c != '\\' {
                value.push(c);
                continue;
            }
            match chars.clone().next() {
                Some('n') => value.push('\n'),
                Some('r') => value.push('\r'),
                Some('t') => value.push('\t'),
                Some(c @ ('"' | '\\' | '$')) => value.push(c),
                _ => {
                    self.refuse(line, r#"has a `\` that begins none of \n \r \t \" \\ \$; write it as `\\`"#);
                    continue;
                }
            }
            chars.next();
        }
        value
    }

    /// Takes the rest of the line, with its end.
    fn take_line(&mut self) -> &'t str {
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        line
    }

    /// Takes `length` bytes.
    fn take(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    fn refuse(&mut self, line: usize, message: impl Into<String>) {
        self.found.push((line, message.into()));
    }
}

/// The name without `export`, which allows the file to be sourced by a shell.
fn without_export(name: &str) -> &str {
    match name.strip_prefix("export") {
        Some(rest) if rest.starts_with(BLANK) => rest.trim_start_matches(BLANK),
        _ => name,
    }
}

/// An unquoted value, without comment and surrounding white space.
fn unquoted(text: &str) -> String {
    let comment = text.match_indices('#').map(|(i, _)| i).find(|i| text[..*i].ends_with(BLANK));
    text[..comment.unwrap_or(text.len())].trim_matches(BLANK).to_owned()
}

/// The position of the closing quote.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    text.find(|c| {
        let found = c == quote && !escaped;
        escaped = quote == '"' && c == '\\' && !escaped;
        found
    })
}
