//! Extractors of the application's own, and those that wrap others.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Form, Json, RequestExt, RequestPartsExt, Router};
use axum_extra::extract::{Cached, WithRejection};
use serde::Deserialize;

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, steps};

/// The user of a token.
#[derive(Clone, Debug)]
struct User(String);

impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = (StatusCode, [(header::HeaderName, &'static str); 1], &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let token = parts.headers.get("x-token").and_then(|token| token.to_str().ok());
        let reject = |text| (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Token")], text);
        match token {
            Some(token) if token.starts_with("user-") => Ok(Self(token["user-".len()..].to_owned())),
            Some(_) => Err(reject("unknown token")),
            None => Err(reject("no token")),
        }
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for User {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Option<Self>, Self::Rejection> {
        if !parts.headers.contains_key("x-token") {
            return Ok(None);
        }
        let user = <Self as FromRequestParts<S>>::from_request_parts(parts, state).await;
        user.map(Some).map_err(|_| (StatusCode::FORBIDDEN, "a wrong token"))
    }
}

/// JSON or a form, as the content type says.
struct JsonOrForm<T>(T);

impl<S, T> FromRequest<S> for JsonOrForm<T>
where
    S: Send + Sync,
    T: for<'de> Deserialize<'de> + Send + 'static,
{
    type Rejection = Response;

    async fn from_request(request: Request, _: &S) -> Result<Self, Response> {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        if kind.starts_with("application/json") {
            let Json(value) = request.extract().await.map_err(IntoResponse::into_response)?;
            Ok(Self(value))
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            let Form(value) = request.extract().await.map_err(IntoResponse::into_response)?;
            Ok(Self(value))
        } else {
            Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response())
        }
    }
}

/// Reads the path and the query inside.
#[derive(Debug)]
#[expect(dead_code, reason = "read by its Debug alone")]
struct Both(u32, Option<String>);

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Both {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Path(id) = parts.extract().await.map_err(IntoResponse::into_response)?;
        let Query(Named { name }) = parts.extract().await.map_err(IntoResponse::into_response)?;
        Ok(Self(id, name))
    }
}

/// Everything at once, derived.
#[derive(FromRequest)]
struct Derived {
    method: Method,
    headers: HeaderMap,
    #[from_request(via(Query))]
    named: Named,
    body: Bytes,
}

#[derive(Debug, thiserror::Error)]
#[error("the path is wrong: {0}")]
struct PathProblem(#[from] axum::extract::rejection::PathRejection);

impl IntoResponse for PathProblem {
    fn into_response(self) -> Response {
        (StatusCode::IM_A_TEAPOT, self.to_string()).into_response()
    }
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route("/user", any(|User(name): User| async move { name }))
        .route("/maybe", any(|user: Option<User>| async move { format!("{user:?}") }))
        .route("/cached", any(|Cached(one): Cached<User>, Cached(two): Cached<User>| async move { format!("{one:?} {two:?}") }))
        .route("/either", post(|JsonOrForm(Named { name }): JsonOrForm<Named>| async move { format!("{name:?}") }))
        .route("/both/{id}", get(|both: Both| async move { format!("{both:?}") }))
        .route("/derived", any(derived))
        .route("/with/{id}", get(|WithRejection(Path(id), _): WithRejection<Path<u8>, PathProblem>| async move { id.to_string() }))
}

async fn derived(Derived { method, headers, named, body }: Derived) -> String {
    format!("{method} {:?} {:?} {}", headers.get("x-token"), named.name, body.len())
}

pub(crate) fn script() -> Vec<Step> {
    let tokens = ["user-ada", "other", ""];
    let users = ["/user", "/maybe", "/cached", "/derived"].into_iter();
    let users = users.flat_map(|path| {
        tokens
            .map(|token| fetch(path).header("x-token", token))
            .into_iter()
            .chain([fetch(path), send(path).body("body")])
    });
    let either = [
        send("/either").json(r#"{"name":"a"}"#),
        send("/either").form("name=a"),
        send("/either").body("name=a"),
        send("/either").json("{"),
        send("/either").form("%"),
        send("/either").typed("text/plain", "a"),
    ];
    let both = [
        "/both/7",
        "/both/7?name=a",
        "/both/x",
        "/both/7?name=%FF",
        "/both/",
        "/with/7",
        "/with/300",
        "/with/%FF",
        "/derived?name=b",
    ]
    .map(fetch);
    steps(users.chain(either).chain(both))
}
