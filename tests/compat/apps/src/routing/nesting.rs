//! `nest`, `merge`, `nest_service`, `route_service`, fallbacks and layers on parts of a router.

use std::convert::Infallible;

use axum::Router;
use axum::body::Body;
use axum::extract::{NestedPath, OriginalUri, Path, Request};
use axum::http::{StatusCode, Uri};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::{any_service, get, get_service};
use tower::service_fn;

use crate::Setup;
use crate::script::{Step, get as fetch, post as send, steps};

async fn show(request: Request) -> Result<Response, Infallible> {
    let original = request.extensions().get::<OriginalUri>().map(|original| original.0.to_string());
    Ok(format!("service {} {original:?}", request.uri()).into_response())
}

async fn mark(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().append("x-marked", axum::http::HeaderValue::from_static("yes"));
    response
}

fn api() -> Router {
    Router::new()
        .route("/", get(|uri: Uri| async move { format!("api root {uri}") }))
        .route(
            "/items",
            get(|uri: Uri, OriginalUri(original): OriginalUri| async move { format!("{uri} of {original}") })
                .post(|| async { "posted" }),
        )
        .route(
            "/items/{id}",
            get(|Path(ids): Path<Vec<(String, String)>>, nested: NestedPath| async move {
                format!("{ids:?} {}", nested.as_str())
            }),
        )
}

pub(crate) fn router(_: &Setup) -> Router {
    let own_fallback =
        api().fallback(|uri: Uri| async move { (StatusCode::NOT_FOUND, format!("api has no {uri}")) });
    let not_allowed = api()
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "api does not allow it") });
    let merged = Router::new()
        .route("/merged", get(|| async { "merged" }))
        .route("/merged/{id}", get(|Path(id): Path<u8>| async move { id.to_string() }));
    let layered = Router::new()
        .route("/a", get(|| async { "a" }))
        .route_layer(from_fn(mark))
        .route("/b", get(|| async { "b" }));
    let whole = Router::new().route("/a", get(|| async { "a" })).layer(from_fn(mark));
    Router::new()
        .nest("/api", api())
        .nest("/own", own_fallback)
        .nest("/tenants/{tenant}", not_allowed)
        .nest("/layered", layered)
        .nest("/whole", whole)
        .nest("/deep", Router::new().nest("/er", Router::new().nest("/est", api())))
        .nest_service("/service", service_fn(show))
        .nest_service("/service-router", api())
        .route_service("/one", service_fn(show))
        .route_service("/one/{*rest}", service_fn(show))
        .route(
            "/methods",
            get_service(service_fn(show)).post_service(service_fn(|_: Request<Body>| async {
                Ok::<_, Infallible>(StatusCode::ACCEPTED.into_response())
            })),
        )
        .route("/any-service", any_service(service_fn(show)))
        .merge(merged)
        .fallback(|uri: Uri| async move { (StatusCode::NOT_FOUND, format!("nothing at {uri}")) })
        .method_not_allowed_fallback(|| async { (StatusCode::METHOD_NOT_ALLOWED, "not allowed") })
}

pub(crate) fn script() -> Vec<Step> {
    let prefixes = [
        "/api",
        "/own",
        "/tenants/t1",
        "/deep/er/est",
        "/service-router",
        "/service",
        "/layered",
        "/whole",
        "/one",
    ];
    let ends = ["", "/", "/items", "/items/", "/items/7", "/items/7?x=y", "/none", "/a", "/b", "?q"];
    let nested = prefixes
        .into_iter()
        .flat_map(|prefix| ends.map(|end| format!("{prefix}{end}")))
        .flat_map(|path| [fetch(path.clone()), send(path)]);
    let others = [
        "/merged",
        "/merged/7",
        "/merged/x",
        "/methods",
        "/any-service",
        "/tenants",
        "/tenants/",
        "/tenants/a%20b/items/1",
        "/deep",
        "/deep/er",
        "/",
    ];
    steps(nested.chain(others.into_iter().flat_map(|path| [fetch(path), send(path)])))
}
