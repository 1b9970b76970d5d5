//! Errors as problem documents (RFC 9457).

use fezz_sdk::http::StatusCode;
use fezz_sdk::{FezzHttpResponse, Level};
use serde_json::json;

use crate::redis_pool::RedisFailure;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    #[error("this function does not serve `{0}`; its fezz.json has a route too many")]
    UnknownRoute(String),
    #[error("a counter's name has 1 to 128 of `a-z`, `A-Z`, `0-9`, `_`, `-` and `.`")]
    Name,
    #[error("the query is not valid: {0}")]
    Query(String),
    #[error(transparent)]
    Redis(#[from] RedisFailure),
}

impl Problem {
    /// The problem as a response. Details of a server error are logged, and not sent.
    pub(crate) fn respond(&self, request_id: &str) -> FezzHttpResponse {
        let (status, detail) = self.status_and_detail();
        if status.is_server_error() {
            fezz_sdk::log(Level::Error, &format!("request {request_id}: {self}"));
        }
        let response = FezzHttpResponse::new(status).header("content-type", "application/problem+json");
        let response = match status {
            StatusCode::SERVICE_UNAVAILABLE => response.header("retry-after", "1"),
            _ => response,
        };
        response.json(&json!({
            "type": "about:blank",
            "title": status.canonical_reason(),
            "status": status.as_u16(),
            "detail": detail,
            "request_id": request_id,
        }))
    }

    fn status_and_detail(&self) -> (StatusCode, String) {
        let (status, detail) = match self {
            Self::UnknownRoute(_) => return (StatusCode::NOT_FOUND, self.to_string()),
            Self::Name | Self::Query(_) => return (StatusCode::BAD_REQUEST, self.to_string()),
            Self::Redis(RedisFailure::Connect(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "Redis cannot be reached; nothing was changed")
            }
            Self::Redis(RedisFailure::NoAnswer(_)) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Redis has not answered; it may have done what was asked, or not",
            ),
            Self::Redis(RedisFailure::NotReady(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "Redis is not ready; try again")
            }
            Self::Redis(RedisFailure::Refused(error)) if is_overflow(error) => (
                StatusCode::CONFLICT,
                "the counter would leave the range of 64-bit numbers; nothing was changed",
            ),
            Self::Redis(RedisFailure::Refused(_) | RedisFailure::Unexpected(_) | RedisFailure::Url(_)) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "the counter cannot be read or written")
            }
        };
        (status, detail.to_owned())
    }
}

/// Redis has no error code for this, only a text.
fn is_overflow(error: &redis::RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.contains("overflow"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_members_of_rfc_9457() {
        let response = Problem::Query("`by` is given twice".to_owned()).respond("r-1");
        assert_eq!(response.status(), StatusCode::BAD_REQUEST);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let document: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
        let expected = json!({
            "type": "about:blank", "title": "Bad Request", "status": 400,
            "detail": "the query is not valid: `by` is given twice", "request_id": "r-1",
        });
        assert_eq!(document, expected);
    }
}
