//! The JSON value of a file. Unlike `serde_json::Value`, an object keeps duplicate keys, and the order of keys.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::check::MAX_FILE_BYTES;
use crate::problem::{At, Problem};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json {
    Null,
    Bool(bool),
    /// A non-negative integer: the only kind of number that these files use.
    Whole(u64),
    /// Any other number, as shown in messages.
    Number(String),
    String(String),
    Array(Vec<Self>),
    Object(Vec<(String, Self)>),
}

impl Json {
    /// The name of this value's type in messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Whole(_) | Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "an object",
        }
    }
}

/// Parses a whole file. A syntax error is the only problem, since the text after it cannot be trusted. `holds` is the
/// expected content in the message about an empty file.
pub(crate) fn read(bytes: &[u8], holds: &str) -> Result<Json, Problem> {
    if let Some(message) = not_worth_parsing(bytes, holds) {
        return Err(At::root().problem(message));
    }
    // serde_json's recursion limit is 128, so that a deeply nested file cannot overflow the stack.
    serde_json::from_slice(bytes).map_err(|error| At::root().problem(syntax_message(&error)))
}

/// Refuses files for which serde_json's message would not help.
fn not_worth_parsing(bytes: &[u8], holds: &str) -> Option<String> {
    if bytes.len() > MAX_FILE_BYTES {
        return Some(format!("the file has {} bytes; at most {MAX_FILE_BYTES} are read", bytes.len()));
    }
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        return Some(
            "the file begins with a UTF-8 byte order mark; save it as UTF-8 without a BOM".to_owned(),
        );
    }
    if bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        return Some("the file is in UTF-16; save it as UTF-8 without a BOM".to_owned());
    }
    if bytes.trim_ascii().is_empty() {
        return Some(format!("the file is empty; it must hold {holds}"));
    }
    None
}

fn syntax_message(error: &serde_json::Error) -> String {
    // serde_json's own text ends with "at line 3 column 5".
    let hint = if error.is_eof() {
        "the file ends too early, was it still being written?"
    } else {
        "correct it there"
    };
    format!("not valid JSON: {error}; {hint}")
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(u64::try_from(value).map_or_else(|_| Json::Number(value.to_string()), Json::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(format!("{value:?}")))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Json::Object(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        read(bytes, "an object").unwrap_err().to_string()
    }

    #[test]
    fn keeps_order_and_repeated_keys() {
        let json = read(br#"{"b":1,"a":[null,true,-2,0.5,"x"],"b":{}}"#, "an object").unwrap();
        let number = |text: &str| Json::Number(text.into());
        let list = [Json::Null, Json::Bool(true), number("-2"), number("0.5"), Json::String("x".into())];
        let expected = [("b", Json::Whole(1)), ("a", Json::Array(list.into())), ("b", Json::Object(vec![]))];
        assert_eq!(json, Json::Object(expected.map(|(key, value)| (key.to_owned(), value)).into()));
    }

    #[test]
    fn syntax_errors_tell_line_and_column() {
        assert_eq!(
            refusal(b"{\n  \"id\": todos\n}"),
            "$: not valid JSON: expected ident at line 2 column 10; correct it there"
        );
        assert_eq!(
            refusal(b"{} x"),
            "$: not valid JSON: trailing characters at line 1 column 4; correct it there"
        );
        assert!(refusal(b"{\"id\":").contains("the file ends too early"));
        assert!(refusal(b"\"\xFF\"").contains("line 1 column"));
    }

    #[test]
    fn files_that_are_no_utf8_json_are_named() {
        assert!(refusal(b"\xEF\xBB\xBF{}").contains("byte order mark"));
        assert!(refusal(b"\xFF\xFE{\0}\0").contains("UTF-16"));
        assert!(refusal(b" \n\t").contains("the file is empty; it must hold an object"));
        assert!(refusal(&vec![b' '; MAX_FILE_BYTES + 1]).contains("at most 262144"));
    }

    #[test]
    fn deep_nesting_is_an_error_and_not_an_overflow() {
        assert!(refusal(&vec![b'['; 100_000]).contains("recursion limit exceeded"));
        assert!(refusal("{\"a\":".repeat(20_000).as_bytes()).contains("recursion limit exceeded"));
    }
}
