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
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

pub(crate) use peer::Peer;

use crate::admin::{Admin, Readiness, admin};
use crate::app::app;
use crate::catalog::{Catalog, Deployer, Registry, Watcher};
use crate::config::Settings;
use crate::invoke::Runners;
use crate::metrics::Exporter;
use crate::resolve::{Cache, retire};
use connection::Connections;
use drain::Signals;

/// How long accepting rests after an error, such as no file descriptors being left.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// Operators and their tools.
const ADMIN_CONNECTIONS: usize = 64;

/// Why the host does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}; is another host running there?{hint}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
        /// What else may help.
        hint: &'static str,
    },
    /// The functions folder cannot be read.
    #[error(
        "cannot read the functions folder `{folder}`: {source}; make it, or name another with --functions"
    )]
    Functions {
        /// The functions folder.
        folder: String,
        /// The cause.
        source: io::Error,
    },
    /// The folder of the host's own files cannot be written.
    #[error("cannot open the store in `{folder}`: {source}; is it writable? --state-dir names another")]
    State {
        /// The state folder.
        folder: String,
        /// The cause.
        source: io::Error,
    },
    /// Signals cannot be listened to.
    #[error("cannot listen to signals: {0}")]
    Signals(#[source] io::Error),
}

/// Serves until a signal asks to end, then drains; at most the drain delay and the grace period longer.
///
/// # Errors
/// Where it cannot begin.
pub async fn serve(settings: Settings) -> Result<(), ServeError> {
    let signals = Signals::listen().map_err(ServeError::Signals)?;
    let (listener, address) = listen(settings.listen, "").await?;
    let catalog: Arc<ArcSwap<Catalog>> = Arc::default();
    let (cache, all_shut_down) =
        Cache::start(settings.cache_idle, settings.cache_sweep, settings.libraries_warning);
    let (sender, replaced) = mpsc::unbounded_channel();
    let registry = Arc::new(Registry::new(Deployer::new(&settings)?, Arc::clone(&catalog), sender));
    let elsewhere = Arc::default();
    let readiness = Readiness::default();
    let exporter =
        Exporter { registry: Arc::clone(&registry), cache: cache.clone(), elsewhere: Arc::clone(&elsewhere) };
    let state = Admin {
        readiness: readiness.clone(),
        registry: Arc::clone(&registry),
        cache: cache.clone(),
        exporter,
    };
    serve_admin(state, &settings).await?;

    // Before the first connection is accepted, so that no request meets a catalog that is still empty.
    let watcher = Watcher::start(Arc::clone(&registry), settings.timing.clone());
    let unreadable =
        |source| ServeError::Functions { folder: settings.functions.display().to_string(), source };
    registry.rescan().await.map_err(unreadable)?;
    let watching = tokio::spawn(watcher.run());
    tokio::spawn(retire(replaced, Arc::clone(&catalog), cache.clone()));
    let runners = Runners::start(settings.blocking_threads);
    let app = app(&settings, Arc::clone(&catalog), cache.clone(), runners, elsewhere);
    let connections = Connections::new(app, &settings);
    readiness.set(true);
    tracing::info!(%address, functions = catalog.load().functions().len(), "listening");

    let serve = |stream, address, place| connections.serve(stream, address, place);
    let end = signals.end(readiness, settings.drain_delay);
    let signal = accept(listener, serve, settings.max_connections, end).await;
    tracing::info!(signal, grace_ms = drain::millis(settings.grace), "draining");
    watching.abort();
    drain::drain(connections.finish(), &cache, all_shut_down, settings.grace).await;
    tracing::info!("ended");
    Ok(())
}

async fn listen(address: SocketAddr, hint: &'static str) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source, hint };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Starts the admin listener, if there is to be one. It answers until the process ends.
async fn serve_admin(state: Admin, settings: &Settings) -> Result<(), ServeError> {
    let Some(address) = settings.admin else { return Ok(()) };
    let (listener, address) =
        listen(address, " This is the admin listener's address; --admin gives it another, or turns it off.")
            .await?;
    let connections = Connections::new(admin(state, address), settings);
    tracing::info!(%address, "admin listening");
    tokio::spawn(async move {
        let serve = |stream, address, place| connections.serve(stream, address, place);
        accept(listener, serve, ADMIN_CONNECTIONS, std::future::pending()).await
    });
    Ok(())
}

/// Accepts connections until `end`, whose answer is handed on. The listener is closed by then.
async fn accept(
    listener: TcpListener,
    serve: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
    max: usize,
    end: impl Future<Output = &'static str>,
) -> &'static str {
    let mut end = std::pin::pin!(end);
    let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    loop {
        tokio::select! {
            biased;
            signal = &mut end => return signal,
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
