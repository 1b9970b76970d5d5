//! Layers that set, add, propagate or hide headers, request ids, statuses, tracing.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::routing::{any, get};
use tower::ServiceBuilder;
use tower_http::ServiceBuilderExt;
use tower_http::add_extension::AddExtensionLayer;
use tower_http::auth::AddAuthorizationLayer;
use tower_http::propagate_header::PropagateHeaderLayer;
use tower_http::request_id::{MakeRequestId, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::sensitive_headers::SetSensitiveHeadersLayer;
use tower_http::set_header::{SetRequestHeaderLayer, SetResponseHeaderLayer};
use tower_http::set_status::SetStatusLayer;
use tower_http::trace::TraceLayer;

use crate::Setup;
use crate::script::{Step, get as fetch, post, steps};

#[derive(Clone)]
struct Fixed;

impl MakeRequestId for Fixed {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        Some(RequestId::new(HeaderValue::from_static("made")))
    }
}

#[derive(Clone)]
struct Title(&'static str);

async fn show(request: Request) -> String {
    let header = |name: &str| format!("{:?}", request.headers().get(name));
    let sensitive = request.headers().get(header::AUTHORIZATION).is_some_and(HeaderValue::is_sensitive);
    let title = request.extensions().get::<Title>().map(|title| title.0);
    format!("{} {} {} {sensitive} {title:?}", header("x-set"), header("authorization"), header("x-own-id"))
}

pub(crate) fn router(_: &Setup) -> Router {
    let name = HeaderName::from_static;
    let own_id = name("x-own-id");
    let yes = HeaderValue::from_static("yes");
    let set = ServiceBuilder::new()
        .layer(SetRequestHeaderLayer::overriding(name("x-set"), yes.clone()))
        .layer(SetResponseHeaderLayer::overriding(header::SERVER, HeaderValue::from_static("own/1")))
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
        .layer(SetResponseHeaderLayer::appending(header::VARY, HeaderValue::from_static("cookie")))
        .layer(SetResponseHeaderLayer::overriding(
            name("x-length"),
            |response: &axum::response::Response| {
                let length = http_body::Body::size_hint(response.body()).exact();
                HeaderValue::try_from(format!("{length:?}")).ok()
            },
        ));
    let ids = ServiceBuilder::new()
        .layer(SetRequestIdLayer::new(own_id.clone(), Fixed))
        .layer(PropagateRequestIdLayer::new(own_id));
    let usual_ids = ServiceBuilder::new().set_x_request_id(Fixed).propagate_x_request_id();
    Router::new()
        .route("/set", any(show).layer(set))
        .route("/ids", any(show).layer(ids))
        .route("/usual-ids", any(show).layer(usual_ids))
        .route("/propagate", any(show).layer(PropagateHeaderLayer::new(name("x-set"))))
        .route("/sensitive", any(show).layer(SetSensitiveHeadersLayer::new([header::AUTHORIZATION])))
        .route("/authorization", any(show).layer(AddAuthorizationLayer::bearer("token")))
        .route("/status", get(|| async { "created" }).layer(SetStatusLayer::new(StatusCode::CREATED)))
        .route("/extension", any(show).layer(AddExtensionLayer::new(Title("title"))))
        .route(
            "/cached",
            get(|| async { ([(header::CACHE_CONTROL, "max-age=60"), (header::VARY, "accept")], "cached") })
                .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, yes)),
        )
        .layer(TraceLayer::new_for_http())
}

pub(crate) fn script() -> Vec<Step> {
    let paths = [
        "/set",
        "/ids",
        "/usual-ids",
        "/propagate",
        "/sensitive",
        "/authorization",
        "/status",
        "/extension",
        "/cached",
        "/none",
    ];
    steps(paths.into_iter().flat_map(|path| {
        [
            fetch(path),
            fetch(path).header("x-set", "own"),
            fetch(path).header("authorization", "Basic YTpi"),
            fetch(path).header("x-own-id", "client").header("x-request-id", "client"),
            post(path).header("x-set", "1").header("x-set", "2").body("b"),
        ]
    }))
}
