//! Errors as problem documents (RFC 9457).

use fezz_sdk::http::StatusCode;
use fezz_sdk::{FezzError, FezzHttpResponse, IntoFezzResponse};

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
    /// The problem as a response. The cause of a server error is logged, and not sent.
    pub(crate) fn respond(self) -> FezzHttpResponse {
        let (status, detail) = self.status_and_detail();
        let response = FezzError::new(status, detail).caused_by(self).into_fezz_response();
        match status {
            StatusCode::SERVICE_UNAVAILABLE => response.header("retry-after", "1"),
            _ => response,
        }
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
