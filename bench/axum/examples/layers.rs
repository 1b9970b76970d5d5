//! Calls a service below one layer of tower-http, so that an instruction counter can tell what the layer costs.
//!
//! Usage: `bench_axum_layers LAYER CALLS`; `scripts/count-layers.sh` counts each of them.

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::pin::pin;
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, HeaderName};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use tower::{Layer, Service, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::request_id::{
    MakeRequestId, MakeRequestUuid, PropagateRequestIdLayer, RequestId, SetRequestIdLayer,
};
use tower_http::sensitive_headers::SetSensitiveRequestHeadersLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;
use tower_http::trace::TraceLayer;

const NAMES: &str =
    "none catch-panic request-id request-id-counted sensitive-headers set-header body-limit timeout trace";
const ID: &str = "x-request-id";

type Answer = Ready<Result<Response<Body>, Infallible>>;

fn main() -> ExitCode {
    // As in the host: at this level a request has no span and writes no line.
    tracing_subscriber::fmt().json().with_max_level(tracing::Level::INFO).with_writer(std::io::stderr).init();
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let called = match arguments.as_slice() {
        [layer, calls] => calls.parse().ok().and_then(|calls| call(layer, calls)),
        _ => None,
    };
    if called.is_none() {
        tracing::error!("usage: bench_axum_layers LAYER CALLS, LAYER one of: {NAMES}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn call(layer: &str, calls: u32) -> Option<()> {
    match layer {
        "none" => repeat(calls, service_fn(answer)),
        "catch-panic" => repeat(calls, CatchPanicLayer::new().layer(service_fn(answer))),
        "request-id" => {
            let propagated = PropagateRequestIdLayer::x_request_id().layer(service_fn(answer));
            repeat(calls, SetRequestIdLayer::x_request_id(MakeRequestUuid).layer(propagated))
        }
        "request-id-counted" => {
            let propagated = PropagateRequestIdLayer::x_request_id().layer(service_fn(answer));
            repeat(calls, SetRequestIdLayer::x_request_id(Counted::default()).layer(propagated))
        }
        "sensitive-headers" => {
            repeat(calls, SetSensitiveRequestHeadersLayer::new([AUTHORIZATION]).layer(service_fn(answer)))
        }
        "set-header" => {
            let layer = SetResponseHeaderLayer::if_not_present(
                HeaderName::from_static(ID),
                HeaderValue::from_static("0"),
            );
            repeat(calls, layer.layer(service_fn(answer)))
        }
        "body-limit" => repeat(calls, RequestBodyLimitLayer::new(1 << 20).layer(service_fn(answer_any))),
        "timeout" => {
            let layer = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(30));
            repeat(calls, layer.layer(service_fn(answer)))
        }
        "trace" => repeat(calls, TraceLayer::new_for_http().layer(service_fn(answer))),
        _ => return None,
    }
    Some(())
}

/// Makes ids for next to nothing, so that the layers' own cost is seen.
#[derive(Clone, Copy, Debug, Default)]
struct Counted(u32);

impl MakeRequestId for Counted {
    fn make_request_id<B>(&mut self, _: &Request<B>) -> Option<RequestId> {
        self.0 = self.0.wrapping_add(1);
        Some(RequestId::new(HeaderValue::from(self.0)))
    }
}

fn answer(request: Request<Body>) -> Answer {
    answer_any(request)
}

fn answer_any<B>(request: Request<B>) -> Answer {
    drop(request);
    ready(Ok(Response::new(Body::from("hello"))))
}

/// Makes the calls one after another; each is answered at its first poll.
fn repeat<S, B>(calls: u32, mut service: S)
where
    S: Service<Request<Body>, Response = Response<B>>,
{
    // For the timer of the timeout.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() else {
        return;
    };
    let _entered = runtime.enter();
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..calls {
        let mut request = Request::new(Body::empty());
        request.headers_mut().insert("host", HeaderValue::from_static("localhost"));
        request.headers_mut().insert("accept", HeaderValue::from_static("*/*"));
        let _ = service.poll_ready(&mut cx);
        let answered = pin!(service.call(request)).poll(&mut cx);
        assert!(matches!(answered, Poll::Ready(Ok(_))), "a call was not answered at once");
    }
}
