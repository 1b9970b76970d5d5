//! Listening, serving connections, and ending in good order.

mod connection;
mod drain;
mod peer;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

pub(crate) use peer::Peer;

use crate::app::app;
use crate::catalog::Scanner;
use crate::config::Settings;
use crate::invoke::Runners;
use crate::resolve::Cache;
use connection::Connections;

/// How long accepting rests after an error, such as no file descriptors being left.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Why the host does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another host running there?")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The store or the functions folder cannot be read.
    #[error("cannot read the functions folder `{folder}` or open the store in `{state}`: {source}")]
    Folders {
        /// The functions folder.
        folder: String,
        /// The state folder.
        state: String,
        /// The cause.
        source: io::Error,
    },
}

/// Serves until a signal asks to end, then drains; at most the grace period longer.
///
/// # Errors
/// Where it cannot begin.
pub async fn serve(settings: Settings) -> Result<(), ServeError> {
    let (listener, address) = listen(settings.listen).await?;
    // Before the first connection is accepted, so that no request meets a catalog that is still empty.
    let catalog = scan(&settings).await?;
    let (cache, all_shut_down) = Cache::start(settings.cache_idle, settings.cache_sweep);
    let runners = Runners::start(settings.blocking_threads);
    let app = app(&settings, Arc::clone(&catalog), cache.clone(), runners);
    let connections = Connections::new(app, &settings);
    tracing::info!(%address, functions = catalog.load().len(), "listening");

    let serve = |stream, address, place| connections.serve(stream, address, place);
    let signal = accept(listener, serve, settings.max_connections).await;
    let grace_ms = u64::try_from(settings.grace.as_millis()).unwrap_or(u64::MAX);
    tracing::info!(signal, grace_ms, "draining");
    drain::drain(connections.finish(), cache, all_shut_down, settings.grace).await;
    tracing::info!("ended");
    Ok(())
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

async fn scan(settings: &Settings) -> Result<Arc<ArcSwap<crate::catalog::Catalog>>, ServeError> {
    let failed = |source| ServeError::Folders {
        folder: settings.functions.display().to_string(),
        state: settings.state_dir.display().to_string(),
        source,
    };
    let catalog = Scanner::new(settings).map_err(failed)?.scan().await.map_err(failed)?;
    Ok(Arc::new(ArcSwap::from_pointee(catalog)))
}

/// Accepts connections until a signal comes, whose name is the answer. The listener is closed by then.
async fn accept(
    listener: TcpListener,
    serve: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
    max: usize,
) -> &'static str {
    let mut signal = std::pin::pin!(drain::signal());
    let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    loop {
        tokio::select! {
            biased;
            signal = &mut signal => return signal,
            accepted = next(&listener, &places) => match accepted {
                Ok((stream, address, place)) => serve(stream, address, place),
                Err(error) => {
                    tracing::warn!("cannot accept a connection: {error}");
                    tokio::time::sleep(AFTER_ERROR).await;
                }
            },
        }
    }
}

/// The next connection, as soon as there is a place for it; until then it waits in the listener's backlog.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, place))
}
