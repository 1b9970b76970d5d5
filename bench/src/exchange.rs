//! A request and its expected answer, which is the same for all servers.

use std::ops::Range;

use crate::error::BenchError;

/// A request, and the expected answer.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) request: Vec<u8>,
    pub(crate) expected: Expected,
}

/// The status and body of the expected answer.
#[derive(Clone, Debug)]
pub(crate) enum Expected {
    /// A 200 with this body.
    Body(Vec<u8>),
    /// A 201 whose body begins like this; the id that follows differs.
    Created(&'static str),
}

/// An answer's status, and where its body is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: u16,
    pub(crate) body: Range<usize>,
}

impl Exchange {
    /// `GET`, answered with 200 and this body.
    pub(crate) fn get(path: &str, body: impl Into<Vec<u8>>) -> Self {
        let request = format!("GET {path} HTTP/1.1\r\nhost: bench.local\r\n\r\n").into_bytes();
        Self { request, expected: Expected::Body(body.into()) }
    }

    /// `POST` of a body.
    pub(crate) fn post(path: &str, content_type: &str, body: &[u8], expected: Expected) -> Self {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: bench.local\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        Self { request: [head.as_bytes(), body].concat(), expected }
    }

    /// An error if the answer is not the expected one.
    pub(crate) fn check(&self, head: &Head, bytes: &[u8]) -> Result<(), BenchError> {
        let body = &bytes[head.body.clone()];
        let right = match &self.expected {
            Expected::Body(expected) => head.status == 200 && body == expected,
            Expected::Created(begin) => head.status == 201 && body.starts_with(begin.as_bytes()),
        };
        if right {
            return Ok(());
        }
        let shown = &bytes[..bytes.len().min(1000)];
        Err(BenchError::Answer(format!("unexpected answer: {}", String::from_utf8_lossy(shown))))
    }
}

impl Head {
    /// Parses the head; none until it is complete.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<Self>, BenchError> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
        let text = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
        let wrong = |what: &str| BenchError::Answer(format!("an answer without a {what}: {text}"));
        let status = text.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok());
        let length = text.split("\r\n").find_map(length).ok_or_else(|| wrong("length"))?;
        let body = end + 4..end + 4 + length;
        Ok(Some(Self { status: status.ok_or_else(|| wrong("status"))?, body }))
    }
}

/// The value of a content-length line. Servers differ in the case of the name.
fn length(line: &str) -> Option<usize> {
    const NAME: &str = "content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    if name.eq_ignore_ascii_case(NAME) { value.trim().parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_whole_or_awaited() {
        for name in ["content-length", "Content-Length"] {
            let whole = format!("HTTP/1.1 200 OK\r\na: b\r\n{name}: 2\r\n\r\n").into_bytes();
            for cut in 0..whole.len() {
                assert!(matches!(Head::read(&whole[..cut]), Ok(None)), "{cut}");
            }
            let head = Head::read(&whole).ok().flatten();
            assert_eq!(head, Some(Head { status: 200, body: whole.len()..whole.len() + 2 }));
        }
        assert!(Head::read(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
    }

    #[test]
    fn another_status_or_body_is_no_answer() {
        let exchange = Exchange::get("/", "{}");
        let head = |status| Head { status, body: 0..2 };
        assert!(exchange.check(&head(200), b"{}").is_ok());
        assert!(exchange.check(&head(503), b"{}").is_err());
        assert!(exchange.check(&head(200), b"[]").is_err());
    }
}
