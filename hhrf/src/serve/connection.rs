//! One connection after another: guard, hyper, application.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tower::Service;

use super::Peer;
use crate::arrive::{Arrived, Ids};
use crate::config::Settings;
use fezz_guard::{InFlight, decline_upgrade, guard};

/// An HTTP/2 client that does not answer a ping for this long is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_STREAMS: u32 = 256;
/// The most that an HTTP/1 connection reads, or holds back to write, at once. A body that comes in one piece crosses to
/// its function as it is, and needs no memory to be gathered in: so much holds a head and a body of a mebibyte.
const BUFFER: usize = (1 << 20) + (1 << 16);
/// How often it is looked whether connections are left.
const LOOK: Duration = Duration::from_millis(10);

/// Serves connections, and knows those that are open.
pub(super) struct Connections<A> {
    app: A,
    ids: Arc<Ids>,
    http: Builder<TokioExecutor>,
    limits: Arc<fezz_guard::Limits>,
    open: GracefulShutdown,
    /// Counted by the connections that are open.
    alive: Arc<()>,
    /// Whether each answer is to be the last one of its connection.
    retiring: Arc<AtomicBool>,
}

impl<A> Connections<A>
where
    A: Service<Arrived, Response = Response<Body>, Error = Infallible, Future: Send>,
    A: Clone + Send + 'static,
{
    pub(super) fn new(app: A, settings: &Settings) -> Self {
        Self {
            app,
            ids: Arc::default(),
            http: http(settings),
            limits: Arc::new(fezz_guard::Limits {
                max_head_bytes: settings.max_head_bytes,
                max_headers: settings.max_headers,
                header_timeout: settings.header_timeout,
                idle_timeout: settings.idle_timeout,
                write_timeout: settings.write_timeout,
            }),
            open: GracefulShutdown::new(),
            alive: Arc::default(),
            retiring: Arc::default(),
        }
    }

    /// Serves a connection in a task of its own, which holds `place` until it is closed.
    pub(super) fn serve(&self, stream: TcpStream, address: SocketAddr, place: OwnedSemaphorePermit) {
        // Answers are written whole; waiting for more of them would only delay them.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%address, "TCP_NODELAY: {error}");
        }
        let (io, state) = guard(stream, Arc::clone(&self.limits), reset);
        let peer = Arc::new(Peer::new(address, state));
        // hyper calls a connection's service from its task alone. The application is always ready, and a clone of it
        // for each request is not needed.
        let app = RefCell::new(self.app.clone());
        let ids = Arc::clone(&self.ids);
        let (alive, retiring) = (Arc::clone(&self.alive), Arc::clone(&self.retiring));
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            decline_upgrade(&mut request);
            let in_flight = Arc::clone(peer.state()).begin();
            let version = request.version();
            let is_last = (version < Version::HTTP_2).then(|| Arc::clone(&retiring));
            let answer = app.borrow_mut().call(Arrived::new(request, Arc::clone(&peer), &ids));
            async move {
                let mut answer = answer.await?.map(|body| hold(body, in_flight, version));
                // HTTP/2 has a message of its own for that.
                if is_last.is_some_and(|is_last| is_last.load(Ordering::Relaxed)) {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = self.http.serve_connection_with_upgrades(TokioIo::new(io), service).into_owned();
        let connection = self.open.watch(connection);
        tokio::spawn(async move {
            // A client that breaks off is no event for an operator.
            if let Err(error) = connection.await {
                tracing::debug!(%address, "connection ended: {error}");
            }
            drop((place, alive));
        });
    }

    /// Lets every connection end with its next answer; waits for a while until all have. One that was closed while its
    /// client was about to use it would be an error there.
    pub(super) async fn retire(&self, patience: Duration) {
        self.retiring.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + patience;
        while Arc::strong_count(&self.alive) > 1 && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Closes idle connections and lets the others finish what they serve.
    pub(super) async fn finish(self) {
        self.open.shutdown().await;
    }
}

/// Holds a call open until a body that is still to be produced has come to its end. One that is whole needs no holding:
/// all that is left to do is to write it.
fn hold(body: Body, in_flight: InFlight, version: Version) -> Body {
    if body.size_hint().exact().is_some() {
        return body;
    }
    Body::new(body.map_err(move |error| {
        // HTTP/2 resets the stream, and other streams of the connection go on.
        if version != Version::HTTP_2 {
            in_flight.break_off();
        }
        error
    }))
}

/// Closing the socket sends RST from now on, and no orderly end.
fn reset(stream: &TcpStream) {
    // What cannot be set is only less plain to the client: its last chunk is still missing.
    let _ = stream.set_zero_linger();
}

fn http(settings: &Settings) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    // The guard times heads and idle connections: hyper's own timer does not tell one from the other.
    http.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(BUFFER);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(settings.header_timeout)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        // Twice the limit, which counts otherwise there (RFC 9113, section 6.5.2), so that it is Refuse that answers.
        .max_header_list_size(u32::try_from(settings.max_head_bytes.saturating_mul(2)).unwrap_or(u32::MAX));
    http
}
