//! Upgraded connections: a response with status 101 turns a call into a connection between the client and the function.
//!
//! [`Upgrade`] is the plain way. Routers use the extractors of their own framework, such as axum's `WebSocketUpgrade`:
//! [`mint`] gives them what they expect.

mod connection;
#[cfg(feature = "axum")]
pub(crate) mod mint;
mod outbox;
mod signal;

use std::future::Future;
use std::sync::Arc;

use http::header::{CONNECTION, UPGRADE};
use http::{HeaderValue, StatusCode};

use crate::entry::RequestRef;
use crate::extract::FromRequest;
use crate::{Body, FezzError, FezzHttpRequest, FezzHttpResponse, runtime};
pub use connection::UpgradedConnection;
use outbox::{Outbox, Pull};
pub(crate) use signal::Signal;

/// The upgrade that the client asks for, such as one to `websocket`. The route in `fezz.json` has to allow it.
///
/// ```
/// use fezz_sdk::{FezzHttpResponse, Upgrade, fezz_function};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// #[fezz_function]
/// pub async fn echo(upgrade: Upgrade) -> FezzHttpResponse {
///     upgrade.accept(|mut connection| async move {
///         let mut buffer = [0; 1024];
///         while let Ok(count @ 1..) = connection.read(&mut buffer).await {
///             if connection.write_all(&buffer[..count]).await.is_err() {
///                 break;
///             }
///         }
///     })
/// }
/// ```
///
/// Without an upgrade on offer the request is answered with 400; take a `Result<Upgrade, FezzError>` to serve both.
#[derive(Debug)]
pub struct Upgrade {
    request: RequestRef,
    protocol: HeaderValue,
}

impl Upgrade {
    /// The upgrade on offer, if any.
    pub(crate) fn of(request: &RequestRef) -> Option<Self> {
        let protocol = request.upgrade();
        if protocol.is_empty() {
            return None;
        }
        Some(Self { request: request.clone(), protocol: HeaderValue::from_bytes(protocol).ok()? })
    }

    /// The protocol that the client asks for, as it wrote it; or several, separated by commas.
    #[must_use]
    pub const fn protocol(&self) -> &HeaderValue {
        &self.protocol
    }

    /// Accepts the upgrade. `serve` runs as a task of the library's runtime; the connection is closed when it is dropped.
    ///
    /// Add to the response what the protocol asks for, such as `sec-websocket-accept`. If the client asks for several
    /// protocols, name the chosen one in an `upgrade` header.
    pub fn accept<F, Fut>(self, serve: F) -> FezzHttpResponse
    where
        F: FnOnce(UpgradedConnection) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let (connection, body) = self.begin(&Arc::default());
        runtime::runtime().spawn(serve(connection));
        FezzHttpResponse::new(StatusCode::SWITCHING_PROTOCOLS).with_body(body)
    }

    /// The connection, and the response's body, which is its other end. `signal` is told when the host is about to end.
    fn begin(self, signal: &Arc<Signal>) -> (UpgradedConnection, Body) {
        let outbox = Arc::new(Outbox::default());
        let pull = Pull::new(Arc::clone(&outbox), self.request.clone(), Arc::clone(signal));
        let connection = UpgradedConnection::new(self.request, outbox, Arc::clone(signal));
        (connection, Body::from_stream(pull))
    }

    /// Restores the headers of the request that the host has removed, for frameworks that look for them.
    pub(crate) fn restore(&self, headers: &mut http::HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
    }
}

impl FromRequest for Upgrade {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        request.upgrade().ok_or_else(|| {
            FezzError::bad_request(
                "no upgrade is on offer: the client asks for none, or its request has a body, or the route in fezz.json \
                 does not have \"upgrade\": true",
            )
        })
    }
}
