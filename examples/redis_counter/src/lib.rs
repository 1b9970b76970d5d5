//! Counters in Redis: connections are kept between calls, and replaced after a restart of Redis.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /counters/{name}` | `{"name": "...", "value": n}`; 0 for a counter that does not exist |
//! | `POST /counters/{name}/incr?by=n` | the same after adding `by`, by default 1 |
//! | `DELETE /counters/{name}` | 204, even if it did not exist |
//!
//! The variable `REDIS_URL` names the server; the default is `redis://127.0.0.1:6379/`. If Redis is unreachable, or does
//! not answer within a second, the response is 503 as `application/problem+json` (RFC 9457).

mod counters;
mod input;
mod problem;
mod redis_pool;

use std::sync::OnceLock;

use fezz_sdk::http::StatusCode;
use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};
use serde_json::json;

use counters::Counters;
use problem::Problem;
use redis_pool::{RedisFailure, RedisPool};

/// Answers one request.
#[fezz_function]
pub fn redis_counter(req: FezzHttpRequest) -> FezzHttpResponse {
    answer(&req).unwrap_or_else(Problem::respond)
}

fn answer(req: &FezzHttpRequest) -> Result<FezzHttpResponse, Problem> {
    let name = input::name(req.param("name").unwrap_or_default())?;
    match (req.method().as_str(), req.matched_route()) {
        ("GET" | "HEAD", "/counters/{name}") => Ok(show(name, counters()?.get(name)?)),
        ("POST", "/counters/{name}/incr") => {
            let by = input::step(req.query())?;
            Ok(show(name, counters()?.add(name, by)?))
        }
        ("DELETE", "/counters/{name}") => {
            counters()?.delete(name)?;
            Ok(FezzHttpResponse::new(StatusCode::NO_CONTENT))
        }
        (method, route) => Err(Problem::UnknownRoute(format!("{method} {route}"))),
    }
}

fn show(name: &str, value: i64) -> FezzHttpResponse {
    FezzHttpResponse::ok().json(&json!({ "name": name, "value": value }))
}

/// The counters, made by the first call. The `OnceLock` keeps the client and its connections between calls and across
/// evictions.
///
/// Making the client only parses the URL, so two concurrent first calls may both do it. After an error, the next call
/// tries again.
fn counters() -> Result<&'static Counters, RedisFailure> {
    static COUNTERS: OnceLock<Counters> = OnceLock::new();
    if let Some(counters) = COUNTERS.get() {
        return Ok(counters);
    }
    let url = fezz_sdk::variable("REDIS_URL").unwrap_or("redis://127.0.0.1:6379/");
    let counters = Counters::new(RedisPool::new(url)?);
    Ok(COUNTERS.get_or_init(|| counters))
}

#[cfg(test)]
mod tests {
    use fezz_sdk::testing::TestRequest;

    use super::*;

    #[test]
    fn invalid_requests_are_refused_without_redis() {
        let request = TestRequest::get("/counters/a%20b").route("/counters/{name}");
        request.call(redis_counter).assert_problem(400);
        let request = TestRequest::post("/counters/hits/incr?by=1&by=2").route("/counters/{name}/incr");
        let problem = request.call(redis_counter).assert_problem(400).json();
        assert_eq!(problem["detail"], "the query is not valid: `by` is given twice");
    }
}
