//! Strict HTTP/1 framing and connection timeouts for [hyper] servers: a defence against request smuggling.
//!
//! # The problem
//!
//! A proxy and the server behind it must agree on where each request ends. If they disagree, a client can
//! hide a second request inside the first (request smuggling, RFC 9112 section 11.2). hyper accepts several
//! messages that two parsers read differently: `Content-Length` next to `Transfer-Encoding`, no `Host` or
//! two, lines that end in a bare LF, `Transfer-Encoding: gzip, chunked`. A service cannot check for these
//! afterwards, because hyper has already normalized the request: of two framing headers, for example, it
//! removes one. The requests that hyper does reject get an empty response that the service never sees.
//!
//! # What the guard does
//!
//! [`guard`] wraps a connection's socket. The resulting [`Guarded`] socket parses the framing of each HTTP/1
//! message (RFC 9112) before hyper reads it: a head, then a body of known length or in chunks, then the next
//! head.
//!
//! - **A valid head** passes unchanged.
//! - **An invalid head** never reaches hyper. hyper reads a small valid request in its place, with the method
//!   `GUARD-REJECTED` and `Connection: close`. The service recognizes it with [`ConnectionState::rejection`]
//!   and chooses the response. Responses to earlier pipelined requests go out first. Nothing behind the
//!   invalid head is read as a request.
//! - **An invalid chunk** is an I/O error: reading the body fails and the connection closes. Where hyper and
//!   the guard could disagree about the end of a body, the guard is stricter.
//! - **HTTP/2** with prior knowledge (RFC 9113 section 3.4) passes unchanged; only the idle and write
//!   timeouts apply.
//!
//! It also enforces three timeouts, see [`Limits`], and closes connections so that clients can read the last
//! response:
//!
//! - After a rejection, or a response that was sent before the request body was complete, the close lingers
//!   (RFC 9112 section 9.6): the guard shuts down the sending half, then discards input until the client
//!   closes, for at most a second or 8 MiB. Closing at once would make the kernel send RST, and the client
//!   would lose the response.
//! - A client that shuts down its sending half is answered. If that takes longer than 100 ms it is sent `100
//!   Continue`, to find out whether it has left: hyper reads an error then.
//! - After [`InFlight::break_off`] the connection is reset, so that the client cannot mistake a truncated
//!   response for a complete one.
//!
//! # What hyper must be told
//!
//! - Set no `header_read_timeout`: hyper's timer cannot tell an idle connection from a slow head.
//! - Keep hyper's own limits at least as wide as [`Limits`], or hyper responds by itself. Its defaults allow
//!   100 headers and a head of about 400 KiB.
//! - Serve `with_upgrades`, pass each request to [`UpgradeOffer::take`], and decide what comes of it by the
//!   status of the response. After a 101 the guard passes everything unchanged, without timeouts.
//!
//! # Example
//!
//! One connection, guarded. `examples/bare_hyper.rs` in the repository is a complete server.
//!
//! ```
//! use std::{convert::Infallible, sync::Arc, time::Duration};
//!
//! use fezz_guard::{Limits, UpgradeOffer, guard};
//! use http_body_util::Full;
//! use hyper::{Request, Response, body::{Bytes, Incoming}, service::service_fn};
//! use hyper_util::{rt::{TokioExecutor, TokioIo}, server::conn::auto};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! let limits = Arc::new(Limits {
//!     max_head_bytes: 16 * 1024,
//!     max_headers: 100,
//!     header_timeout: Duration::from_secs(5),
//!     idle_timeout: Duration::from_secs(75),
//!     write_timeout: Duration::from_secs(30),
//! });
//! // In memory here; in a server, a `TcpStream` that was just accepted.
//! let (mut client, socket) = tokio::io::duplex(4096);
//! let (socket, state) = guard(socket, limits, |_| ());
//! let service = service_fn(move |mut request: Request<Incoming>| {
//!     // Declines it; see `UpgradeOffer`.
//!     drop(UpgradeOffer::take(&mut request, &state));
//!     let in_flight = Arc::clone(&state).begin();
//!     let (status, text) = match state.rejection(request.method()) {
//!         Some(violation) => (400, violation.message()),
//!         None => (200, "hello"),
//!     };
//!     async move {
//!         let mut response = Response::new(Full::new(Bytes::from(text)));
//!         *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
//!         drop(in_flight);
//!         Ok::<_, Infallible>(response)
//!     }
//! });
//! let server = tokio::spawn(async move {
//!     auto::Builder::new(TokioExecutor::new())
//!         .serve_connection_with_upgrades(TokioIo::new(socket), service)
//!         .await
//! });
//!
//! client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n").await?;
//! let mut response = String::new();
//! client.read_to_string(&mut response).await?;
//! assert!(response.starts_with("HTTP/1.1 400 Bad Request\r\n"));
//! assert!(response.ends_with("the request has more than one Host header; send exactly one"));
//! drop(client);
//! server.await??;
//! # Ok(())
//! # }
//! ```
//!
//! [hyper]: https://docs.rs/hyper

#![forbid(unsafe_code)]

mod chunked;
mod class;
mod fields;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
mod half_close;
mod head;
mod http2_frames;
mod io;
mod limits;
mod linger;
mod read_timeout;
mod scanner;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod upgrade;
mod violation;
mod write_timeout;

use std::sync::Arc;

pub use io::Guarded;
pub use limits::Limits;
pub use state::{ConnectionState, InFlight};
pub use upgrade::UpgradeOffer;
pub use violation::Violation;

/// Wraps the socket of a connection that was just accepted.
///
/// Serve the [`Guarded`] socket with hyper in place of `io`, and give the [`ConnectionState`] to the
/// connection's service. The timeout of the first head starts here.
///
/// `reset` makes the coming close of the socket abortive. It is called once, when the socket is dropped after
/// [`InFlight::break_off`]. For TCP it should set `SO_LINGER` to zero (tokio's `TcpStream::set_zero_linger`),
/// so that the kernel sends RST in place of FIN. A transport that cannot do this takes `|_| ()`.
///
/// The guarded socket has to be polled on a tokio runtime with its time driver enabled.
pub fn guard<Io>(io: Io, limits: Arc<Limits>, reset: fn(&Io)) -> (Guarded<Io>, Arc<ConnectionState>) {
    let state = Arc::new(ConnectionState::default());
    (Guarded::new(io, limits, Arc::clone(&state), reset), state)
}
