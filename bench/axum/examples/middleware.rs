//! axum as one would run it: the bare handlers below the usual layers of tower-http and a Prometheus layer.
//!
//! Usage: `bench_axum_middleware FOLDER`, where the todos' database is made.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode};
use axum::routing::get;
use axum_prometheus::PrometheusMetricLayer;
use axum_prometheus::metrics_exporter_prometheus::PrometheusHandle;
use fezz_bench_axum::{MAX_BODY, handlers, serve};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer};
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

/// The same allocator as all other Rust servers of the benchmark.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The host's default time limit of a call.
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    // JSON to stderr, as the host's log. At this level a request has a span and writes no line, as in the host.
    tracing_subscriber::fmt().json().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
    let Some(folder) = std::env::args_os().nth(1) else {
        tracing::error!("usage: bench_axum_middleware FOLDER");
        return ExitCode::FAILURE;
    };
    let served = match handlers(Path::new(&folder)) {
        Ok(handlers) => serve(|| {
            let (metrics, handle) = PrometheusMetricLayer::pair();
            with_middleware(handlers, metrics, handle)
        }),
        Err(error) => Err(std::io::Error::other(error)),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "cannot serve");
            ExitCode::FAILURE
        }
    }
}

/// Puts the layers around the handlers, the outermost first.
fn with_middleware(
    handlers: Router,
    metrics: PrometheusMetricLayer<'static>,
    handle: PrometheusHandle,
) -> Router {
    let layers = ServiceBuilder::new()
        // Above the trace, whose span has the id.
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(TraceLayer::new_for_http().make_span_with(span))
        .layer(PropagateRequestIdLayer::x_request_id())
        // Above what answers by itself: panics, timeouts and refused bodies are counted too.
        .layer(metrics)
        .layer(CatchPanicLayer::new())
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, TIMEOUT))
        .layer(RequestBodyLimitLayer::new(MAX_BODY));
    handlers.route("/metrics", get(async move || handle.render())).layer(layers)
}

fn span<B>(request: &Request<B>) -> Span {
    let id = request.extensions().get::<RequestId>().and_then(|id| id.header_value().to_str().ok());
    tracing::info_span!("request", method = %request.method(), path = request.uri().path(), id)
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn every_layer_is_there() {
        let folder = tempfile::tempdir().expect("a folder");
        let (metrics, handle) = PrometheusMetricLayer::pair();
        let panics = handlers(folder.path()).expect("the handlers").route("/panic", get(panic));
        let app = with_middleware(panics, metrics, handle);
        let call = async |request: Request<Body>| app.clone().oneshot(request).await.expect("infallible");

        let hello = call(Request::get("/rpc/hello@latest").body(Body::empty()).expect("a request")).await;
        assert_eq!(hello.status(), StatusCode::OK);
        assert!(hello.headers().contains_key("x-request-id"));
        let body = to_bytes(hello.into_body(), MAX_BODY).await.expect("a body");
        assert_eq!(body, fezz_bench_work::HELLO);

        let large = Request::post("/rpc/echo@latest").header("content-length", MAX_BODY + 1);
        let refused = call(large.body(Body::empty()).expect("a request")).await;
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);

        let panicked = call(Request::get("/panic").body(Body::empty()).expect("a request")).await;
        assert_eq!(panicked.status(), StatusCode::INTERNAL_SERVER_ERROR);

        let metrics = call(Request::get("/metrics").body(Body::empty()).expect("a request")).await;
        let text = to_bytes(metrics.into_body(), MAX_BODY).await.expect("a body");
        let text = String::from_utf8_lossy(&text);
        for counted in [r#"endpoint="/rpc/hello@latest""#, r#"status="413""#, r#"status="500""#] {
            assert!(text.contains(counted), "{counted} is not in\n{text}");
        }
    }

    async fn panic() {
        panic!("the handler panics");
    }
}
