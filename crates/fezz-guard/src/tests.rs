//! What the tests of the guard share: limits, a service, and a client that speaks in bytes.

mod agreement;
mod closing;
mod refusing;
mod scanning;
mod serving;
mod timing;

use std::convert::Infallible;
use std::sync::Arc;
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

use super::{Limits, decline_upgrade, guard};

fn limits() -> Arc<Limits> {
    Arc::new(Limits {
        max_head_bytes: 1024,
        max_headers: 8,
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(75),
        write_timeout: Duration::from_secs(30),
    })
}

/// How long the service needs for `/slow`.
const SLOW: Duration = Duration::from_secs(200);

/// Serves one connection. Answers are `{method} {path} {body length}`, or the violation.
async fn serve<Io>(io: Io, limits: Arc<Limits>)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, state) = guard(io, limits, |_| ());
    let service = service_fn(move |mut request: Request<Incoming>| {
        decline_upgrade(&mut request);
        let in_flight = state.clone().begin();
        let rejection = state.rejection(request.method());
        async move {
            let response = match rejection {
                Some(violation) => reply(400, format!("{violation:?}")),
                None => answer(request).await,
            };
            drop(in_flight);
            Ok::<_, Infallible>(response)
        }
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(io), service)
        .await;
}

async fn answer(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if path == "/slow" {
        tokio::time::sleep(SLOW).await;
    }
    if path == "/early" {
        return reply(413, "too much".to_owned());
    }
    match request.into_body().collect().await {
        Ok(body) => reply(200, format!("{method} {path} {}", body.to_bytes().len())),
        Err(_) => reply(400, "broken body".to_owned()),
    }
}

fn reply(status: u16, text: String) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(Bytes::from(text))).unwrap()
}

/// A served connection and its client's end.
fn connect() -> (DuplexStream, JoinHandle<()>) {
    let (client, server) = duplex(64 * 1024);
    (client, tokio::spawn(serve(server, limits())))
}

/// Reads to the end and returns the bodies of the answers.
async fn bodies(client: &mut (impl AsyncRead + Unpin)) -> Vec<String> {
    let mut text = String::new();
    client.read_to_string(&mut text).await.unwrap();
    parse_bodies(&text)
}

/// The bodies of the answers in `text`, each of which has a `content-length`.
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
