//! An echo server on bare hyper, with guarded connections.
//!
//! `cargo run --example bare_hyper -- 127.0.0.1:8080`; without an address, the kernel chooses a loopback
//! port.

use std::convert::Infallible;
use std::env;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fezz_guard::{ConnectionState, InFlight, Limits, UpgradeOffer, Violation, guard};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> io::Result<()> {
    let address = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".to_owned());
    let listener = TcpListener::bind(address).await?;
    writeln!(io::stdout(), "http://{}", listener.local_addr()?)?;
    serve(listener).await
}

/// Serves each connection in a task of its own.
pub(crate) async fn serve(listener: TcpListener) -> io::Result<()> {
    let limits = Arc::new(Limits {
        max_head_bytes: 16 * 1024,
        max_headers: 100,
        header_timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_secs(75),
        write_timeout: Duration::from_secs(30),
    });
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(serve_connection(stream, Arc::clone(&limits)));
    }
}

async fn serve_connection(stream: TcpStream, limits: Arc<Limits>) {
    let (socket, state) = guard(stream, limits, reset);
    let service = service_fn(move |mut request| {
        drop(UpgradeOffer::take(&mut request, &state));
        let response = respond(request, &state);
        async { Ok::<_, Infallible>(response) }
    });
    // An error is the client's: it closed early, was too slow, or sent an invalid body.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection_with_upgrades(TokioIo::new(socket), service)
        .await;
}

/// Makes the kernel send RST when the socket is closed.
fn reset(stream: &TcpStream) {
    // If this fails, an HTTP/1.1 client still sees that the last chunk is missing.
    let _ = stream.set_zero_linger();
}

/// Echoes the request's body, or says what is wrong with the request.
fn respond(
    request: Request<Incoming>,
    state: &Arc<ConnectionState>,
) -> Response<BoxBody<Bytes, hyper::Error>> {
    let in_flight = Arc::clone(state).begin();
    match state.rejection(request.method()) {
        None => echo(request, in_flight),
        Some(violation) => {
            let body = Full::new(Bytes::from_static(violation.message().as_bytes()));
            let mut response = Response::new(body.map_err(|never| match never {}).boxed());
            *response.status_mut() = status(violation);
            response
        }
    }
}

/// The body keeps `in_flight` until it is finished or dropped.
fn echo(request: Request<Incoming>, in_flight: InFlight) -> Response<BoxBody<Bytes, hyper::Error>> {
    // HTTP/2 resets the stream instead, and other streams of the connection go on.
    let resets_connection = request.version() < Version::HTTP_2;
    let body = request.into_body().map_err(move |error| {
        if resets_connection {
            in_flight.break_off();
        }
        error
    });
    Response::new(body.boxed())
}

fn status(violation: Violation) -> StatusCode {
    match violation {
        Violation::TooManyHeaders | Violation::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Violation::TargetTooLong => StatusCode::URI_TOO_LONG,
        Violation::HeadTimeout => StatusCode::REQUEST_TIMEOUT,
        _ => StatusCode::BAD_REQUEST,
    }
}
