//! A gRPC service with all four kinds of calls, errors and metadata, beside plain routes.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::{get, post};
use futures_util::{Stream, StreamExt, stream};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::Setup;
use crate::script::{Call, Step, get as fetch, post as send};

/// The request.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// The name of the caller.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The number of responses to send.
    #[prost(uint32, tag = "2")]
    pub count: u32,
}

/// What is answered.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Greeting {
    /// The greeting.
    #[prost(string, tag = "1")]
    pub text: String,
}

type Asked<T> = tonic::Request<T>;
type Answered<T> = Result<tonic::Response<T>, Status>;

fn grpc() -> Grpc<ProstCodec<Greeting, Hello>> {
    Grpc::new(ProstCodec::default())
}

fn into_axum(response: http::Response<tonic::body::Body>) -> Response {
    response.map(Body::new)
}

/// Metadata of an answer: what the client has sent under `x-echo`, and a value of bytes.
fn mark<T>(asked: &MetadataMap, message: T) -> tonic::Response<T> {
    let mut response = tonic::Response::new(message);
    if let Some(echo) = asked.get("x-echo") {
        response.metadata_mut().insert("x-echo", echo.clone());
    }
    response.metadata_mut().insert_bin("x-bytes-bin", MetadataValue::from_bytes(&[0, 255, 7]));
    response
}

fn failure(name: &str) -> Option<Status> {
    let code = name.strip_prefix("fail-")?.parse().map_or(Code::Unknown, Code::from_i32);
    let mut metadata = MetadataMap::new();
    metadata.insert("x-why", MetadataValue::from_static("asked for"));
    Some(Status::with_details_and_metadata(
        code,
        format!("as asked: \u{e9} {name}"),
        vec![1, 2, 3].into(),
        metadata,
    ))
}

async fn unary(asked: Asked<Hello>) -> Answered<Greeting> {
    let Hello { name, count } = asked.get_ref();
    if name == "slow" {
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    if name == "panic" {
        panic!("as asked");
    }
    match failure(name) {
        Some(status) => Err(status),
        None => Ok(mark(
            asked.metadata(),
            Greeting { text: format!("hello {name} {}", "!".repeat(*count as usize)) },
        )),
    }
}

async fn server_stream(asked: Asked<Hello>) -> Answered<impl Stream<Item = Result<Greeting, Status>>> {
    let Hello { name, count } = asked.get_ref().clone();
    let failed = failure(&name);
    let greetings = stream::iter(0..count).then(move |n| {
        let name = name.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(2)).await;
            Ok(Greeting { text: format!("{n}: hello {name}") })
        }
    });
    Ok(mark(asked.metadata(), greetings.chain(stream::iter(failed.map(Err)))))
}

async fn client_stream(asked: Asked<Streaming<Hello>>) -> Answered<Greeting> {
    let metadata = asked.metadata().clone();
    let mut names = Vec::new();
    let mut hellos = asked.into_inner();
    while let Some(hello) = hellos.message().await? {
        if let Some(status) = failure(&hello.name) {
            return Err(status);
        }
        names.push(hello.name);
    }
    let trailers = hellos.trailers().await?.is_some();
    Ok(mark(&metadata, Greeting { text: format!("hello {} ({trailers})", names.join(" and ")) }))
}

async fn both(asked: Asked<Streaming<Hello>>) -> Answered<impl Stream<Item = Result<Greeting, Status>>> {
    let metadata = asked.metadata().clone();
    let greetings = asked.into_inner().map(|hello| {
        let Hello { name, .. } = hello?;
        failure(&name).map_or_else(|| Ok(Greeting { text: format!("hello {name}") }), Err)
    });
    Ok(mark(&metadata, greetings))
}

pub(crate) fn router(_: &Setup) -> Router {
    Router::new()
        .route(
            "/compat.Greeter/Unary",
            post(|request: Request| async { into_axum(grpc().unary(service_fn(unary), request).await) }),
        )
        .route(
            "/compat.Greeter/ServerStream",
            post(|request: Request| async {
                into_axum(grpc().server_streaming(service_fn(server_stream), request).await)
            }),
        )
        .route(
            "/compat.Greeter/ClientStream",
            post(|request: Request| async {
                into_axum(grpc().client_streaming(service_fn(client_stream), request).await)
            }),
        )
        .route(
            "/compat.Greeter/Both",
            post(|request: Request| async { into_axum(grpc().streaming(service_fn(both), request).await) }),
        )
        .route("/health", get(|| async { "healthy" }))
        .fallback(|| async { Status::unimplemented("there is no such method").into_http::<Body>() })
}

pub(crate) fn script() -> Vec<Step> {
    let names = ["ada", "", "caf\u{e9}", "fail-3", "fail-5", "fail-13", "fail-16", "fail-0", "fail-99"];
    let mut steps = Vec::new();
    for method in ["Unary", "ServerStream", "ClientStream", "Both", "None"] {
        for name in names {
            steps.push(Call { method, names: vec![name.into()], count: 3, timeout: None });
        }
        steps.push(Call {
            method,
            names: (0..20).map(|n| n.to_string()).collect(),
            count: 50,
            timeout: None,
        });
        steps.push(Call {
            method,
            names: vec!["ada".into(), "fail-9".into(), "never".into()],
            count: 0,
            timeout: None,
        });
        steps.push(Call { method, names: vec!["x".repeat(100_000)], count: 2, timeout: Some(20_000) });
        steps.push(Call { method, names: Vec::new(), count: 1, timeout: None });
    }
    steps.push(Call { method: "Unary", names: vec!["slow".into()], count: 1, timeout: Some(150) });
    let mut steps: Vec<_> = steps.into_iter().map(Step::Call).collect();
    // A message: no compression, its length, the field `name` with `ada`.
    let message = [0, 0, 0, 0, 5, 10, 3, b'a', b'd', b'a'];
    let unary = || send("/compat.Greeter/Unary").header("te", "trailers");
    for request in [
        fetch("/health"),
        unary().typed("application/grpc", message),
        unary().typed("application/grpc+proto", message).header("grpc-timeout", "10S"),
        unary().typed("application/json", "{}"),
        unary().typed("application/grpc", vec![]),
        unary().typed("application/grpc", &message[..7]),
        unary().typed("application/grpc", [1, 0, 0, 0, 0]),
        unary().typed("application/grpc", message).header("grpc-encoding", "gzip"),
        fetch("/compat.Greeter/Unary"),
        send("/compat.Other/Unary").typed("application/grpc", message),
    ] {
        steps.push(request.into());
    }
    steps
}
