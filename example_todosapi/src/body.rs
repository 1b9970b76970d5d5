//! Parses a request's body as JSON.

use fezz_sdk::http::HeaderMap;
use fezz_sdk::http::header::CONTENT_TYPE;
use serde_json::Value;

use crate::problem::Problem;

/// Parses the body, whose content type must be JSON: a browser sends that across origins only with the server's consent
/// (CORS), unlike a plain form.
pub(crate) fn json(headers: &HeaderMap, body: &[u8]) -> Result<Value, Problem> {
    if !is_json(headers) {
        return Err(Problem::ContentType);
    }
    serde_json::from_slice(body).map_err(Problem::Json)
}

/// Whether the content type is `application/json`, with any parameters.
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = value.split_once(';').map_or(value, |(media_type, _)| media_type);
    media_type.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use fezz_sdk::http::HeaderValue;

    use super::*;

    fn read(content_type: &'static str, body: &[u8]) -> Result<Value, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        json(&headers, body)
    }

    #[test]
    fn the_content_type_may_have_parameters() {
        for content_type in ["application/json", "Application/JSON; charset=utf-8", "application/json ;x=1"] {
            assert_eq!(read(content_type, b"[1]").unwrap(), serde_json::json!([1]), "{content_type}");
        }
    }

    #[test]
    fn other_content_types_are_refused() {
        for content_type in ["", "text/plain", "application/jsonp", "application/json, text/plain"] {
            assert!(matches!(read(content_type, b"{}"), Err(Problem::ContentType)), "{content_type}");
        }
        assert!(matches!(json(&HeaderMap::new(), b"{}"), Err(Problem::ContentType)));
    }

    #[test]
    fn invalid_json_is_refused() {
        for body in ["", "{", "{}{}", "{'a': 1}", "nope"] {
            assert!(matches!(read("application/json", body.as_bytes()), Err(Problem::Json(_))), "{body}");
        }
        assert!(matches!(read("application/json", b"\"\xff\""), Err(Problem::Json(_))));
        assert!(matches!(read("application/json", "[".repeat(9_000).as_bytes()), Err(Problem::Json(_))));
    }
}
