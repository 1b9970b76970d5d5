//! Declines HTTP/1 upgrades so that hyper shuts the connection down in order.

use http::Request;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

/// Declines the upgrade that `request` asks for, if any. Call it for each request.
///
/// After a request with `Upgrade` (RFC 9110 section 7.8) hyper drops the socket without a shutdown, even if
/// the service did not switch protocols. That would skip the lingering close (RFC 9112 section 9.6), and a
/// client that is still sending could lose the response. Such requests are common: Java's `HttpClient` sends
/// `Upgrade: h2c` on each new connection. hyper gives the socket to the task that awaits the upgrade, so this
/// function spawns one, which shuts the socket down.
///
/// The connection has to be served `with_upgrades`. A request that asks for an upgrade costs a spawned task,
/// so the service has to run on a tokio runtime; any other costs one lookup in the request's extensions.
pub fn decline_upgrade<B>(request: &mut Request<B>) {
    if request.extensions().get::<hyper::upgrade::OnUpgrade>().is_none() {
        return;
    }
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        // It fails if another request follows on the connection, or if the client is gone.
        if let Ok(socket) = upgrade.await {
            let _ = TokioIo::new(socket).shutdown().await;
        }
    });
}
