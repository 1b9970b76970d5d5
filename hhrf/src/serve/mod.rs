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
use tokio::task::JoinHandle;
use tower::ServiceBuilder;

pub(crate) use peer::Peer;

use crate::admin::{Admin, Readiness, admin};
use crate::app::app;
use crate::arrive::Arrived;
use crate::catalog::{Catalog, Deployer, Registry, Watcher, own_program};
use crate::config::Settings;
use crate::ffi::inflight;
use crate::invoke::Runners;
use crate::metrics::Exporter;
use crate::pool::{Environment, Spawner, end_groups_of_the_dead};
use crate::resolve::{Cache, retire};
use crate::supervise::{HandOver, Inherited, Quarantined, Supervisor};
use connection::Connections;
use drain::Signals;

/// How long accepting rests after an error, such as no file descriptors being left.
const AFTER_ERROR: Duration = Duration::from_millis(100);
/// What ends serving beside signals.
const HAND_OVER: &str = "hand-over";
/// Helps where the admin listener's address is taken.
pub(crate) const ADMIN_HINT: &str =
    " This is the admin listener's address; --admin gives it another, or turns it off.";
/// How often it shows that it accepts connections.
const BEAT: Duration = Duration::from_millis(250);
/// How often it is looked whether this process is worn out.
const WORN_OUT: Duration = Duration::from_millis(250);
/// How often it is looked whether functions that want workers at all times have them.
const WARM: Duration = Duration::from_millis(200);
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
    /// The supervisor's sockets cannot be used.
    #[error("the supervisor's sockets cannot be used: {0}")]
    Inherited(#[source] io::Error),
    /// Signals cannot be listened to.
    #[error("cannot listen to signals: {0}")]
    Signals(#[source] io::Error),
}

/// Serves until a signal asks to end, then drains; at most the drain delay and the grace period longer.
///
/// # Errors
/// Where it cannot begin.
pub async fn serve(settings: Settings, inherited: Option<Inherited>) -> Result<(), ServeError> {
    let signals = Signals::listen().map_err(ServeError::Signals)?;
    let Sources { listener, admin, supervisor, quarantined } = sources(&settings, inherited).await?;
    let address = listener.local_addr().map_err(ServeError::Inherited)?;
    let catalog: Arc<ArcSwap<Catalog>> = Arc::default();
    let (cache, all_shut_down) = Cache::start(
        settings.cache_idle,
        settings.cache_sweep,
        settings.libraries_warning,
        environment(&settings),
    );
    let (sender, replaced) = mpsc::unbounded_channel();
    let registry =
        Arc::new(Registry::new(Deployer::new(&settings, quarantined)?, Arc::clone(&catalog), sender));
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
    let admin = admin.map(|listener| serve_admin(state, listener, &settings)).transpose()?;

    // Before the first connection is accepted, so that no request meets a catalog that is still empty.
    let watcher = Watcher::start(Arc::clone(&registry), settings.timing.clone());
    let unreadable =
        |source| ServeError::Functions { folder: settings.functions.display().to_string(), source };
    registry.rescan().await.map_err(unreadable)?;
    let watching = tokio::spawn(watcher.run());
    tokio::spawn(retire(replaced, Arc::clone(&catalog), cache.clone()));
    let warming = tokio::spawn(keep_warm(Arc::clone(&catalog), cache.clone()));
    let runners = Runners::start(settings.blocking_threads);
    let app = app(&settings, Arc::clone(&catalog), cache.clone(), runners, elsewhere);
    let connections = Connections::new(app, &settings);
    readiness.set(true);
    tracing::info!(%address, functions = catalog.load().functions().len(), "listening");

    let hand_over = supervisor.map(|(supervisor, hand_over)| {
        tokio::spawn(report(supervisor, cache.clone(), settings.libraries_warning));
        hand_over
    });
    let serve = |stream, address, place| connections.serve(stream, address, place);
    let end = end(signals, hand_over, readiness, settings.drain_delay);
    let reason = accept(listener, serve, settings.max_connections, inflight::beat, end).await;
    tracing::info!(signal = reason, grace_ms = drain::millis(settings.grace), "draining");
    watching.abort();
    warming.abort();
    if reason == HAND_OVER {
        // Its successor answers there.
        admin.inspect(|admin| admin.abort());
        connections.retire(settings.hand_over).await;
    }
    drain::drain(connections.finish(), &cache, all_shut_down, settings.grace).await;
    tracing::info!("ended");
    Ok(())
}

/// What serving needs from outside: its own sockets, or those of a supervisor.
struct Sources {
    listener: TcpListener,
    admin: Option<TcpListener>,
    supervisor: Option<(Supervisor, HandOver)>,
    quarantined: Vec<Quarantined>,
}

async fn sources(settings: &Settings, inherited: Option<Inherited>) -> Result<Sources, ServeError> {
    let Some(mut inherited) = inherited else {
        let admin = match settings.admin {
            Some(address) => Some(listen(address, ADMIN_HINT).await?.0),
            None => None,
        };
        let (listener, _) = listen(settings.listen, "").await?;
        return Ok(Sources { listener, admin, supervisor: None, quarantined: Vec::new() });
    };
    let quarantined = std::mem::take(&mut inherited.quarantined);
    let (listener, admin, control) = inherited.into_parts();
    let listener = adopt(listener).map_err(ServeError::Inherited)?;
    let admin = admin.map(adopt).transpose().map_err(ServeError::Inherited)?;
    let supervisor = Some(Inherited::supervisor(control).map_err(ServeError::Inherited)?);
    Ok(Sources { listener, admin, supervisor, quarantined })
}

fn adopt(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Waits for a signal that asks to end, or for the word that another process serves.
async fn end(
    signals: Signals,
    hand_over: Option<HandOver>,
    readiness: Readiness,
    delay: Duration,
) -> &'static str {
    let Some(hand_over) = hand_over else { return signals.end(readiness, delay).await };
    tokio::select! {
        signal = signals.end(readiness, delay) => signal,
        () = hand_over.ordered() => HAND_OVER,
    }
}

/// Tells the supervisor that this process serves, and when it should not any more.
async fn report(supervisor: Supervisor, cache: Cache, libraries: usize) {
    supervisor.ready().await;
    while cache.mapped() < libraries {
        tokio::time::sleep(WORN_OUT).await;
    }
    supervisor.worn_out(format!("{} libraries are mapped", cache.mapped())).await;
}

/// Keeps functions loaded that want workers before anybody calls.
async fn keep_warm(catalog: Arc<ArcSwap<Catalog>>, cache: Cache) {
    let mut interval = tokio::time::interval(WARM);
    loop {
        interval.tick().await;
        for function in catalog.load().functions() {
            if function.isolation.as_ref().is_some_and(|plan| plan.min > 0) {
                // A pool says itself what goes wrong in it.
                let _ = cache.get(function).await;
            }
        }
    }
}

/// What pools of workers are made with. Must be called within a runtime.
fn environment(settings: &Settings) -> Environment {
    tokio::task::spawn_blocking(end_groups_of_the_dead);
    Environment { spawner: Spawner::start(), settings: settings.pool.clone(), program: own_program() }
}

pub(crate) async fn listen(
    address: SocketAddr,
    hint: &'static str,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    let failed = |source| ServeError::Listen { address, source, hint };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Starts the admin listener. It answers until the process ends, or its task is aborted.
fn serve_admin(
    state: Admin,
    listener: TcpListener,
    settings: &Settings,
) -> Result<JoinHandle<&'static str>, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Inherited)?;
    let admin = ServiceBuilder::new().map_request(Arrived::into_http).service(admin(state, address));
    let connections = Connections::new(admin, settings);
    tracing::info!(%address, "admin listening");
    Ok(tokio::spawn(async move {
        let serve = |stream, address, place| connections.serve(stream, address, place);
        accept(listener, serve, ADMIN_CONNECTIONS, || (), std::future::pending()).await
    }))
}

/// Accepts connections until `end`, whose answer is handed on. The listener is closed by then. Says all the while that it
/// goes on: where threads are stuck in functions, this is what stands still.
async fn accept(
    listener: TcpListener,
    serve: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
    max: usize,
    beat: impl Fn(),
    end: impl Future<Output = &'static str>,
) -> &'static str {
    let mut end = std::pin::pin!(end);
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let places = Arc::new(Semaphore::new(max.min(Semaphore::MAX_PERMITS)));
    loop {
        tokio::select! {
            biased;
            signal = &mut end => return signal,
            _ = beats.tick() => beat(),
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
