//! A router's upgrade: a genuine `OnUpgrade` of hyper's, which is what extractors such as axum's `WebSocketUpgrade` look for
//! in a request.
//!
//! hyper does not let others construct one. So a hyper server reads a canned request from an IO of ours ([`Wire`]), offers
//! an upgrade of it, and is answered once the router's response is known. That server needs no task, client or socket, and
//! the router is called with the original request.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use tokio::sync::oneshot;
use tower_service::Service;

use super::{Signal, Upgrade};
use crate::{Body, BoxError};

const CANNED: &[u8] = b"GET / HTTP/1.1\r\nupgrade: x\r\n\r\n";
const END_OF_HEAD: &[u8; 4] = b"\r\n\r\n";

/// Calls a service with a request that it may upgrade.
pub(crate) async fn call<S, B>(
    mut service: S,
    mut request: Request<Body>,
    upgrade: Upgrade,
    signal: Arc<Signal>,
) -> Result<Response<Body>, BoxError>
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>>,
    B: http_body::Body<Data: Into<Bytes>, Error: Into<BoxError>> + Send + 'static,
{
    let (connection, outgoing) = upgrade.begin(&signal);
    let slot: Arc<Mutex<Option<OnUpgrade>>> = Arc::default();
    let (accept, accepted) = oneshot::channel::<()>();
    let accepted = Mutex::new(Some(accepted));
    let taken = Arc::clone(&slot);
    let mint = service_fn(move |request: Request<Incoming>| {
        *taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(request));
        let accepted = accepted.lock().unwrap_or_else(PoisonError::into_inner).take();
        async move {
            accepted.ok_or("there is one request")?.await.map_err(|_| "the upgrade is declined")?;
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            Ok::<_, &'static str>(response)
        }
    });
    let wire = Wire { canned: CANNED, matched: 0, io: connection };
    let server = http1::Builder::new().auto_date_header(false).serve_connection(wire, mint).with_upgrades();
    let mut server = pin!(server);
    // hyper reads the request and calls the service within the first poll.
    poll_fn(|cx| Poll::Ready(server.as_mut().poll(cx).is_pending())).await;
    let on_upgrade = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    request.extensions_mut().insert(on_upgrade.ok_or("hyper has offered no upgrade")?);
    poll_fn(|cx| service.poll_ready(cx)).await.map_err(Into::into)?;
    let response = service.call(request).await.map_err(Into::into)?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(response.map(Body::new));
    }
    // Resolves the `OnUpgrade` that the service took from the request.
    let _ = accept.send(());
    server.await?;
    Ok(response.map(|_| outgoing))
}

/// Reads the canned request, swallows the answer's head, and is `io` from then on.
struct Wire<T> {
    canned: &'static [u8],
    /// How much of [`END_OF_HEAD`] was written last; all of it once the head is complete.
    matched: usize,
    io: T,
}

impl<T> Wire<T> {
    fn is_open(&self) -> bool {
        self.matched == END_OF_HEAD.len()
    }

    /// Up to the end of the head.
    fn swallow(&mut self, bytes: &[u8]) -> usize {
        for (at, byte) in bytes.iter().enumerate() {
            let continues = *byte == END_OF_HEAD[self.matched];
            self.matched = if continues { self.matched + 1 } else { usize::from(*byte == b'\r') };
            if self.is_open() {
                return at + 1;
            }
        }
        bytes.len()
    }
}

impl<T: Read + Unpin> Read for Wire<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.canned.is_empty() {
            let count = self.canned.len().min(buf.remaining());
            buf.put_slice(&self.canned[..count]);
            self.canned = &self.canned[count..];
            return Poll::Ready(Ok(()));
        }
        if !self.is_open() {
            // hyper looks for an early end here. Whoever drives the server polls it again in any case.
            return Poll::Pending;
        }
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Wire<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if !self.is_open() {
            return Poll::Ready(Ok(self.swallow(bytes)));
        }
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_open() { Pin::new(&mut self.io).poll_flush(cx) } else { Poll::Ready(Ok(())) }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_open() { Pin::new(&mut self.io).poll_shutdown(cx) } else { Poll::Ready(Ok(())) }
    }
}
