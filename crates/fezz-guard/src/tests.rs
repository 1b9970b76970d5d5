//! Unit tests of the guard, and what they share: a service and a client that sends raw bytes.

mod agreement;
mod corpus;
mod leniency;
mod lingering_close;
mod scanner;
mod serving;
mod timeouts;
mod upgrades;
mod violations;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::fuzz::limits;
use super::{UpgradeOffer, guard};

/// Duration of a request for `/slow`.
const SLOW: Duration = Duration::from_secs(200);

/// Serves one connection. Response bodies are `{method} {path} {body length}`, or the violation.
async fn serve<Io>(io: Io)
where
    Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (io, state) = guard(io, limits(), |_| ());
    let service = service_fn(move |mut request: Request<Incoming>| {
        let offer = UpgradeOffer::take(&mut request, &state);
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let in_flight = state.clone().begin();
        let rejection = state.rejection(request.method());
        async move {
            let response = match rejection {
                Some(violation) => reply(400, format!("{violation:?}")),
                None => match upgrade.filter(|_| request.uri().path() == "/upgrade") {
                    Some(upgrade) => accept(upgrade),
                    None => respond(request).await,
                },
            };
            drop(in_flight);
            if let Some(offer) = offer {
                offer.decide(response.status());
            }
            Ok::<_, Infallible>(response)
        }
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(io), service)
        .await;
}

/// Switches to a protocol in which all that the client sends comes back.
fn accept(upgrade: OnUpgrade) -> Response<Full<Bytes>> {
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    });
    let response = Response::builder().status(101).header("connection", "upgrade").header("upgrade", "echo");
    response.body(Full::default()).unwrap()
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
