//! Trailers: the fields behind a body, in either direction.

use fezz_abi::{FezzPair, FezzPairs, FezzSlice};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderMap, HeaderName, HeaderValue, TE, TRAILER, TRANSFER_ENCODING,
    UPGRADE,
};

/// A trailer that is not valid in HTTP.
#[derive(Debug, thiserror::Error)]
#[error("a trailer cannot be sent, number {index}: `{name}`")]
pub struct TrailerError {
    /// Its place among the trailers, from 0.
    index: usize,
    /// Its name; invalid UTF-8 is replaced.
    name: String,
}

/// The trailers with these names and values, without those that may not stand behind a body.
///
/// # Errors
/// If one of them is not valid in HTTP, or if there are more than a message can have.
pub fn trailers<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<HeaderMap, TrailerError> {
    let mut trailers = HeaderMap::new();
    for (index, (name, value)) in pairs.enumerate() {
        let error = || TrailerError { index, name: String::from_utf8_lossy(name).into_owned() };
        let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
            return Err(error());
        };
        if !is_of_the_head(&name) {
            trailers.try_append(name, value).map_err(|_| error())?;
        }
    }
    Ok(trailers)
}

/// Removes what may not stand behind a body.
pub fn strip_trailers(trailers: &mut HeaderMap) {
    let misplaced: Vec<_> = trailers.keys().filter(|name| is_of_the_head(name)).cloned().collect();
    for name in misplaced {
        trailers.remove(name);
    }
}

/// Fields that frame or route a message, and so must be in its head (RFC 9110, section 6.5.1).
fn is_of_the_head(name: &HeaderName) -> bool {
    [CONNECTION, CONTENT_LENGTH, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE].contains(name)
        || matches!(name.as_str(), "keep-alive" | "proxy-connection")
}

/// Trailers and their pairs for the C boundary.
#[derive(Debug)]
pub(super) struct RawTrailers {
    /// Point into `_trailers`.
    pairs: Vec<FezzPair>,
    _trailers: HeaderMap,
}

impl RawTrailers {
    /// In a box, where the map stays while the pairs point into it.
    pub(super) fn new(trailers: HeaderMap) -> Box<Self> {
        let mut raw = Box::new(Self { pairs: Vec::with_capacity(trailers.len()), _trailers: trailers });
        let Self { pairs, _trailers: trailers } = &mut *raw;
        pairs.extend(trailers.iter().map(|(name, value)| FezzPair {
            name: FezzSlice::new(name.as_str().as_bytes()),
            value: FezzSlice::new(value.as_bytes()),
        }));
        raw
    }

    pub(super) fn pairs(&self) -> FezzPairs {
        FezzPairs::new(&self.pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_frames_a_message_is_no_trailer() {
        let pairs = [(&b"X-Sum"[..], &b"1"[..]), (b"content-length", b"5"), (b"te", b"x"), (b"x-sum", b"2")];
        let mut found = trailers(pairs.into_iter()).expect("valid trailers");
        assert_eq!(found.get_all("x-sum").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(found.len(), 2);
        found.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        strip_trailers(&mut found);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn an_invalid_trailer_is_named() {
        let error = trailers([(&b"a"[..], &b"1"[..]), (b"b", b"x\ny")].into_iter()).expect_err("invalid");
        assert_eq!(error.to_string(), "a trailer cannot be sent, number 1: `b`");
    }
}
