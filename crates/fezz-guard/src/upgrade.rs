//! Makes hyper shut a connection down even when a client has asked for an upgrade.
//!
//! After a request with `Upgrade`, hyper ends the connection without a shutdown, as if the upgrade that no one granted
//! were still to come: the socket is just dropped, and with it the [lingering close](super::linger). This is no corner
//! case, since Java's `HttpClient` sends `Upgrade: h2c` on every new connection. But hyper offers the socket to whoever
//! waits for the upgrade, so we do, and close it properly.

use http::Request;
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

/// Call it for each request, on a connection that is served `with_upgrades`. It costs one look into the request's
/// extensions; only a request that asks for an upgrade spawns a task.
pub fn decline_upgrade<B>(request: &mut Request<B>) {
    if request.extensions().get::<hyper::upgrade::OnUpgrade>().is_none() {
        return;
    }
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        // An error says that another request came after this one, or that the client is gone.
        if let Ok(socket) = upgrade.await {
            let _ = TokioIo::new(socket).shutdown().await;
        }
    });
}
