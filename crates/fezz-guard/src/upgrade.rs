//! Upgrades of HTTP/1 connections (RFC 9110 7.8): what a client asks for, and the service's decision.

use std::sync::Arc;

use http::{Request, StatusCode, Version};
use hyper::body::Body;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

use super::ConnectionState;
use super::state::Offer;

/// An upgrade that a request asks for. Dropping it declines it.
///
/// The guard holds what the client sends behind such a request until the upgrade is decided: it is another protocol's
/// input after a response with 101, and the next request otherwise. So each request has to be passed to
/// [`take`](Self::take), and what comes of it to [`decide`](Self::decide), at the latest when its response is known.
#[derive(Debug)]
pub struct UpgradeOffer {
    on_upgrade: OnUpgrade,
    /// None on HTTP/2, where the other streams of the connection go on.
    state: Option<Arc<ConnectionState>>,
}

impl UpgradeOffer {
    /// The upgrade that `request` asks for, if any. If it can be accepted, its [`OnUpgrade`] stays an extension of the
    /// request; of a request with a body, which cannot be upgraded, it is removed.
    ///
    /// On HTTP/2 that is an extended CONNECT (RFC 8441) or a plain one, and a successful response accepts it.
    ///
    /// The connection has to be served `with_upgrades`, on a tokio runtime. A request that asks for no upgrade costs one
    /// lookup in its extensions.
    pub fn take<B: Body>(request: &mut Request<B>, state: &Arc<ConnectionState>) -> Option<Self> {
        let on_upgrade = request.extensions().get::<OnUpgrade>()?.clone();
        if request.version() == Version::HTTP_2 {
            return Some(Self { on_upgrade, state: None });
        }
        if request.body().is_end_stream() {
            return Some(Self { on_upgrade, state: Some(Arc::clone(state)) });
        }
        request.extensions_mut().remove::<OnUpgrade>();
        close_in_order(on_upgrade);
        None
    }

    /// Decides by the status of the response, which must not change any more: 101 accepts.
    pub fn decide(mut self, status: StatusCode) {
        if status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(state) = self.state.take()
        {
            state.decide(Offer::Accepted);
        }
    }
}

impl Drop for UpgradeOffer {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            state.decide(Offer::Declined);
            close_in_order(self.on_upgrade.clone());
        }
    }
}

/// Shuts the connection down at its end, for a request whose upgrade was declined.
///
/// After such a request hyper drops the socket without a shutdown. That would skip the lingering close (RFC 9112 section
/// 9.6), and a client that is still sending could lose the response. Such requests are common: Java's `HttpClient` sends
/// `Upgrade: h2c` on each new connection. hyper gives the socket to the task that awaits the upgrade: this one.
fn close_in_order(on_upgrade: OnUpgrade) {
    // Without a runtime nothing is served any more.
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    runtime.spawn(async move {
        // It fails if another request follows on the connection, or if the client is gone.
        if let Ok(socket) = on_upgrade.await {
            let _ = TokioIo::new(socket).shutdown().await;
        }
    });
}
