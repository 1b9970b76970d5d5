//! Middleware of axum: `from_fn`, `from_extractor`, `map_request`, `map_response`, and their order.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum_extra::middleware::option_layer;
use http_body_util::BodyExt;
use tower::ServiceBuilder;

use crate::Setup;
use crate::script::{Step, get as fetch, options, post as send, steps};

#[derive(Clone)]
struct Realm(&'static str);

/// What the middleware tells the handler.
#[derive(Clone)]
struct CurrentUser(String);

struct RequireKey;

impl<S: Sync> FromRequestParts<S> for RequireKey {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        if parts.headers.contains_key("x-key") { Ok(Self) } else { Err((StatusCode::FORBIDDEN, "no key")) }
    }
}

async fn auth(State(realm): State<Realm>, mut request: Request, next: Next) -> Result<Response, Response> {
    let user =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let Some(user) = user else {
        return Err(
            (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, realm.0)], "who are you?").into_response()
        );
    };
    request.extensions_mut().insert(CurrentUser(user));
    Ok(next.run(request).await)
}

/// Reads the whole body, and passes it on.
async fn buffer(request: Request, next: Next) -> Result<Response, StatusCode> {
    let (parts, body) = request.into_parts();
    let bytes = body.collect().await.map_err(|_| StatusCode::BAD_REQUEST)?.to_bytes();
    let length = bytes.len();
    let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
    let (mut parts, body) = response.into_parts();
    let answered = body.collect().await.map_err(|_| StatusCode::BAD_GATEWAY)?.to_bytes();
    parts.headers.insert(
        "x-lengths",
        HeaderValue::try_from(format!("{length} {}", answered.len())).map_err(|_| StatusCode::BAD_GATEWAY)?,
    );
    Ok(Response::from_parts(parts, Body::from(answered)))
}

async fn order(mark: &'static str, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().append("x-order", HeaderValue::from_static(mark));
    response
}

async fn rewrite(mut request: Request) -> Request {
    let new =
        request.uri().path().strip_prefix("/old").and_then(|rest| format!("/new{rest}").parse::<Uri>().ok());
    if let Some(uri) = new {
        *request.uri_mut() = uri;
    }
    if let Some(method) = request
        .headers()
        .get("x-http-method-override")
        .and_then(|method| Method::from_bytes(method.as_bytes()).ok())
    {
        *request.method_mut() = method;
    }
    request
}

pub(crate) fn router(_: &Setup) -> Router {
    let private = Router::new()
        .route("/me", get(|user: axum::Extension<CurrentUser>| async move { user.0.0 }))
        .route_layer(middleware::from_fn_with_state(Realm("Private"), auth));
    let keyed = Router::new()
        .route("/x", any(|| async { "keyed" }))
        .layer(middleware::from_extractor::<RequireKey>());
    let ordered = Router::new()
        .route("/", get(|| async { "ordered" }))
        .layer(middleware::from_fn(|request, next| order("inner", request, next)))
        .layer(
            ServiceBuilder::new()
                .layer(middleware::from_fn(|request, next| order("outer", request, next)))
                .layer(middleware::from_fn(|request, next| order("middle", request, next))),
        );
    let mapped = Router::new()
        .route("/{id}", get(|Path(id): Path<String>| async move { id }))
        .layer(middleware::map_response(|mut response: Response| async move {
            response.headers_mut().insert("x-mapped", HeaderValue::from_static("yes"));
            response
        }))
        .layer(middleware::map_request(|request: Request| async move {
            if request.headers().contains_key("x-refuse") {
                Err(StatusCode::BAD_REQUEST)
            } else {
                Ok(request)
            }
        }));
    let optional = Router::new()
        .route("/", get(|| async { "optional" }))
        .layer(option_layer(Some(middleware::from_fn(|request, next| order("some", request, next)))));
    Router::new()
        .nest("/private", private)
        .nest("/keyed", keyed)
        .nest("/ordered", ordered)
        .nest("/mapped", mapped)
        .nest("/optional", optional)
        .route("/new/{id}", get(|Path(id): Path<String>| async move { format!("new {id}") }))
        .route("/method", any(|method: Method| async move { method.to_string() }))
        .route("/buffered", post(|body: Bytes| async move { body }).layer(middleware::from_fn(buffer)))
        .route(
            "/early",
            get(|| async { "never" }).layer(middleware::from_fn(|_: Request, _: Next| async {
                (StatusCode::IM_A_TEAPOT, "early")
            })),
        )
        .layer(middleware::map_request(rewrite))
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/private/me",
        "/private/none",
        "/keyed/x",
        "/keyed/none",
        "/ordered",
        "/ordered/",
        "/mapped/7",
        "/mapped/",
        "/optional",
        "/new/7",
        "/old/7",
        "/method",
        "/early",
        "/none",
    ];
    let headers = |path: &'static str| {
        [
            fetch(path),
            fetch(path).header("authorization", "ada").header("x-key", "1"),
            fetch(path).header("x-refuse", "1"),
            send(path).header("x-http-method-override", "GET"),
            options(path),
        ]
    };
    let buffered = [
        send("/buffered").body("buffered"),
        send("/buffered").chunks(&["a", "b"]),
        send("/buffered"),
        fetch("/buffered"),
    ];
    steps(paths.into_iter().flat_map(headers).chain(buffered))
}
