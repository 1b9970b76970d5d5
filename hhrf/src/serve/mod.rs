//! Serving: listeners, connections, and the end.

mod connection;
mod drain;
mod listen;
mod stalled;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use fezz_isolation::host::{
    PoolContext, PoolOptions, Spawner, TemporaryFolders, remove_groups_of_dead_hosts,
};
use fezz_runtime::sys::crash_record;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub(crate) use connection::Options as ConnectionOptions;
pub(crate) use drain::Options as DrainOptions;
pub use listen::ListenError;
pub(crate) use listen::{Addresses, bind};

use crate::admin::{Admin, MetricsExporter, Readiness, admin};
use crate::call::{self, Caller};
use crate::catalog::{self, Catalog, LastGood, OpenError, Registry, Watcher, own_program};
use crate::http::{self, Functions, Peer, app};
use crate::load::{self, Cache, retire};
use crate::supervise::{EndSignal, Inherited, Order, Orders, Sockets, SupervisorHandle};
use connection::Connections;
use drain::Signals;
use listen::end_dead_connections;

/// How long accepting pauses after an error, such as a lack of file descriptors.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
/// What ends serving beside signals.
const HAND_OVER: &str = "hand-over";
/// Interval of heartbeats: the process accepts connections.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(250);
/// Poll interval for functions that want workers without a call.
const WARM_POLL_INTERVAL: Duration = Duration::from_millis(200);
/// The most connections of the admin listener.
const ADMIN_CONNECTIONS: usize = 64;

/// What serving needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The settings file that all of this comes from.
    pub(crate) settings: SettingsInForce,
    /// Where to listen.
    pub(crate) addresses: Addresses,
    /// Where functions come from.
    pub(crate) catalog: catalog::Options,
    /// How loaded functions are cached.
    pub(crate) load: load::Options,
    /// How calls are made.
    pub(crate) call: call::Options,
    /// How requests are answered.
    pub(crate) http: http::Options,
    /// How pools of workers are run.
    pub(crate) pool: PoolOptions,
    /// How connections are served.
    pub(crate) connections: ConnectionOptions,
    /// How serving ends.
    pub(crate) drain: DrainOptions,
}

/// What a process that serves has to say about its settings file.
#[derive(Clone, Debug, Default)]
pub(crate) struct SettingsInForce {
    /// What is in force of it.
    pub(crate) text: String,
    /// Why that is the last good one and not the present one, if so.
    pub(crate) rejected: Option<String>,
}

/// Why the host does not serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A folder cannot be used.
    #[error(transparent)]
    Catalog(#[from] OpenError),
    /// The functions folder cannot be read.
    #[error(
        "cannot read the functions folder `{folder}`: {source}; make it, or name another with --functions"
    )]
    Scan {
        /// The functions folder.
        folder: String,
        /// The cause.
        source: io::Error,
    },
    /// The sockets cannot be used.
    #[error("the listening sockets cannot be used: {0}")]
    Sockets(#[source] io::Error),
    /// Signals cannot be listened to.
    #[error("cannot listen to signals: {0}")]
    Signals(#[source] io::Error),
}

/// Serves until a signal asks to end, then drains; at most the drain delay and the grace period longer.
///
/// # Errors
/// Where it cannot begin.
pub(crate) async fn serve(options: Options, inherited: Option<Inherited>) -> Result<(), ServeError> {
    let (end_sender, end_orders) = mpsc::unbounded_channel();
    let signals = Signals::listen(end_orders).map_err(ServeError::Signals)?;
    let Sources { listener, admin, supervisor, quarantined } = sources(&options, inherited)?;
    let address = listener.local_addr().map_err(ServeError::Sockets)?;
    let catalog: Arc<ArcSwap<Catalog>> = Arc::default();
    let (cache, all_shut_down) = Cache::start(&options.load, pool_context(&options)?);
    let (sender, dropped) = mpsc::unbounded_channel();
    let loader = Arc::new(cache.clone());
    let registry = Registry::open(&options.catalog, quarantined, Arc::clone(&catalog), loader, sender)?;
    let registry = Arc::new(registry);
    let unmatched = Arc::default();
    let caller = Caller::new(options.call);
    let readiness = Readiness::default();
    let state = Admin {
        readiness: readiness.clone(),
        exporter: MetricsExporter::new(
            Arc::clone(&registry),
            cache.clone(),
            Arc::clone(&unmatched),
            options.settings.rejected.is_none(),
            caller.budgets(),
        ),
        registry: Arc::clone(&registry),
        cache: cache.clone(),
    };
    let admin = admin.map(|listener| serve_admin(state, listener, &options.connections)).transpose()?;

    // Before the first connection is accepted, so that no request meets an empty catalog.
    let (timing, secrets) = (options.catalog.timing.clone(), options.catalog.secrets_file.as_ref());
    let mut watcher = Watcher::start(Arc::clone(&registry), timing, secrets);
    let folder = || options.catalog.functions.display().to_string();
    registry.rescan().await.map_err(|source| ServeError::Scan { folder: folder(), source })?;
    watcher.scanned();
    let watching = tokio::spawn(watcher.run());
    tokio::spawn(retire(dropped, Arc::clone(&catalog), cache.clone()));
    let warming = tokio::spawn(keep_warm(Arc::clone(&catalog), cache.clone()));
    let functions = Functions { catalog: Arc::clone(&catalog), cache: cache.clone(), caller, unmatched };
    let app = app(&options.http, functions);
    let connections = Connections::new(move |peer| app.of_connection(peer), &options.connections);
    keep_settings(&options.settings, &options.catalog.state_dir);
    readiness.set(true);
    tracing::info!(%address, functions = catalog.load().functions().len(), "listening");

    let hand_over = supervisor.map(|(supervisor, orders)| {
        tokio::spawn(report(supervisor, cache.wear()));
        let (sender, hand_over) = oneshot::channel();
        tokio::spawn(obey(orders, sender, end_sender, registry));
        hand_over
    });
    let serve = |stream, address, place| connections.serve(stream, address, place);
    let end = end(signals, hand_over, readiness, options.drain.delay);
    let reason = accept(listener, serve, options.connections.max, crash_record::beat, end).await;
    tracing::info!(signal = reason, grace_ms = drain::millis(options.drain.grace), "draining");
    watching.abort();
    warming.abort();
    if reason == HAND_OVER {
        // The successor answers there.
        admin.inspect(|admin| admin.abort());
        connections.retire(options.drain.hand_over).await;
    }
    drain::drain(connections.finish(), &cache, all_shut_down, options.drain.grace).await;
    tracing::info!("ended");
    Ok(())
}

/// Has the settings outlive this process, which serves with them.
fn keep_settings(settings: &SettingsInForce, state_dir: &Path) {
    if settings.rejected.is_some() {
        return;
    }
    if let Err(error) = LastGood::of(state_dir).keep_settings(&settings.text) {
        tracing::warn!("the settings cannot be kept for later starts: {error}");
    }
}

/// What serving needs from outside: its own sockets, or those of a supervisor.
struct Sources {
    listener: TcpListener,
    admin: Option<TcpListener>,
    supervisor: Option<(SupervisorHandle, Orders)>,
    quarantined: Vec<crate::function::Quarantined>,
}

fn sources(options: &Options, inherited: Option<Inherited>) -> Result<Sources, ServeError> {
    let (Sockets { listener, admin }, supervisor, quarantined) = match inherited {
        None => (bind(&options.addresses)?, None, Vec::new()),
        Some(inherited) => {
            let Inherited { sockets, quarantined, control, .. } = inherited;
            let supervisor = Inherited::supervisor(control).map_err(ServeError::Sockets)?;
            (sockets, Some(supervisor), quarantined)
        }
    };
    let patience = options.connections.limits.write_timeout;
    for listener in std::iter::once(&listener).chain(&admin) {
        end_dead_connections(listener, patience);
    }
    let listener = from_std(listener).map_err(ServeError::Sockets)?;
    let admin = admin.map(from_std).transpose().map_err(ServeError::Sockets)?;
    Ok(Sources { listener, admin, supervisor, quarantined })
}

fn from_std(listener: std::net::TcpListener) -> io::Result<TcpListener> {
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

/// Waits for a signal that asks to end, or for the supervisor's order to hand over.
async fn end(
    signals: Signals,
    hand_over: Option<oneshot::Receiver<()>>,
    readiness: Readiness,
    delay: Duration,
) -> &'static str {
    let Some(hand_over) = hand_over else { return signals.end(readiness, delay).await };
    tokio::select! {
        signal = signals.end(readiness, delay) => signal,
        Ok(()) = hand_over => HAND_OVER,
    }
}

/// Does what the supervisor says.
async fn obey(
    mut orders: Orders,
    hand_over: oneshot::Sender<()>,
    end: mpsc::UnboundedSender<EndSignal>,
    registry: Arc<Registry>,
) {
    let mut hand_over = Some(hand_over);
    loop {
        match orders.next().await {
            // Nobody listens any more where the end has begun already.
            Order::HandOver => _ = hand_over.take().map(|hand_over| hand_over.send(())),
            Order::End { signal } => _ = end.send(signal),
            Order::Quarantine { builds } => registry.quarantine(builds).await,
        }
    }
}

/// Tells the supervisor that this process serves, and when it has to be replaced.
async fn report(supervisor: SupervisorHandle, mut wear: watch::Receiver<Option<String>>) {
    supervisor.ready().await;
    // Each time: a hand-over may have failed.
    while wear.changed().await.is_ok() {
        let reason = wear.borrow_and_update().clone();
        if let Some(reason) = reason {
            supervisor.worn_out(reason).await;
        }
    }
}

/// Keeps functions loaded that want workers without a call.
async fn keep_warm(catalog: Arc<ArcSwap<Catalog>>, cache: Cache) {
    let mut interval = tokio::time::interval(WARM_POLL_INTERVAL);
    loop {
        interval.tick().await;
        for function in catalog.load().functions() {
            if function.isolation.as_ref().is_some_and(|plan| plan.min > 0) {
                // A pool reports its errors itself.
                let _ = cache.get(function, Instant::now() + WARM_POLL_INTERVAL).await;
            }
        }
    }
}

/// What pools of workers share. Must be called within a runtime.
fn pool_context(options: &Options) -> Result<PoolContext, ServeError> {
    tokio::task::spawn_blocking(remove_groups_of_dead_hosts);
    let state = &options.catalog.state_dir;
    let temporary = std::path::absolute(state.join("tmp"))
        .map_err(|source| OpenError::State { folder: state.display().to_string(), source })?;
    Ok(PoolContext {
        spawner: Spawner::start(),
        options: options.pool.clone(),
        program: own_program(),
        temporary: TemporaryFolders::below(temporary),
    })
}

/// Starts the admin listener. It answers until the process ends, or its task is aborted.
fn serve_admin(
    state: Admin,
    listener: TcpListener,
    options: &ConnectionOptions,
) -> Result<JoinHandle<&'static str>, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Sockets)?;
    let admin = admin(state, address);
    let of_connection = move |peer: Arc<Peer>| admin.clone().layer(axum::Extension(peer));
    let connections = Connections::new(of_connection, options);
    tracing::info!(%address, "admin listening");
    Ok(tokio::spawn(async move {
        let serve = |stream, address, place| connections.serve(stream, address, place);
        accept(listener, serve, ADMIN_CONNECTIONS, || (), std::future::pending()).await
    }))
}

/// Accepts connections until `end`, whose answer is returned; the listener is closed by then. `beat` is called at intervals
/// meanwhile: it stops when functions block all threads of the runtime.
async fn accept(
    listener: TcpListener,
    serve: impl Fn(TcpStream, SocketAddr, OwnedSemaphorePermit),
    max: usize,
    beat: impl Fn(),
    end: impl Future<Output = &'static str>,
) -> &'static str {
    let mut end = std::pin::pin!(end);
    let mut beats = tokio::time::interval(HEARTBEAT_INTERVAL);
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
                    tokio::time::sleep(PAUSE_AFTER_ERROR).await;
                }
            },
        }
    }
}

/// The next connection, as soon as the limit allows it; until then it waits in the listener's backlog.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, address, place))
}
