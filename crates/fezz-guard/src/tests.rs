//! Unit tests of the guard, and what they share: a service and a client that sends raw bytes.

mod agreement;
mod corpus;
mod leniency;
mod lingering_close;
mod scanner;
mod serving;
mod timeouts;
mod violations;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::fuzz::limits;
use super::{decline_upgrade, guard};

/// Duration of a request for `/slow`.
const SLOW: Duration = Duration::from_secs(200);

/// Serves one connection. Response bodies are `{method} {path} {body length}`, or the violation.
async fn serve<Io>(io: Io)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, state) = guard(io, limits(), |_| ());
    let service = service_fn(move |mut request: Request<Incoming>| {
        decline_upgrade(&mut request);
        let in_flight = state.clone().begin();
        let rejection = state.rejection(request.method());
        async move {
            let response = match rejection {
                Some(violation) => reply(400, format!("{violation:?}")),
                None => respond(request).await,
            };
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(io), service)
        .await;
}

async fn respond(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if path == "/slow" {
        tokio::time::sleep(SLOW).await;
    }
    if path == "/large" {
        return reply(200, "x".repeat(1_000_000));
    }
    if path == "/early" {
        return reply(413, "too much".to_owned());
    }
    match request.into_body().collect().await {
        Ok(body) => reply(200, format!("{method} {path} {}", body.to_bytes().len())),
        Err(_) => reply(400, "invalid body".to_owned()),
    }
}

fn reply(status: u16, text: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::from(text))).unwrap()
}

/// Serves a connection in memory; returns the client's end and the server's task.
fn connect() -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = duplex(64 * 1024);
    (client, tokio::spawn(serve(server)))
}

/// Reads to the end of the connection and returns the response bodies.
async fn bodies(client: &mut (impl AsyncRead + Unpin)) -> Vec<String> {
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    parse_bodies(&text)
}

/// The bodies of the responses in `text`, each of which has a `content-length`.
fn parse_bodies(mut text: &str) -> Vec<String> {
    let mut bodies = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let (body, rest) = rest.split_at(length.parse().unwrap());
        bodies.push(body.to_owned());
        text = rest;
    }
    bodies
}
