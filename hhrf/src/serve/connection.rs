//! One connection: guard, hyper, application.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use fezz_guard::{InFlight, Limits, UpgradeOffer, guard};
use fezz_runtime::sys::unsent;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use http_body::Frame;
use hyper::body::{Body as HttpBody, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::GracefulConnection;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::{BoxError, Service};

use super::stalled::Stallable;
use crate::call::Connection;
use crate::http::Peer;

/// An HTTP/2 client that does not answer a ping for this long is gone.
const PING_TIMEOUT: Duration = Duration::from_secs(4);
const MAX_STREAMS: u32 = 256;
/// What an HTTP/2 client may send of a body that is not read yet. The connection has room for so much of each stream, so that
/// bodies that are not read never hold up one that is.
const STREAM_WINDOW: u32 = 128 << 10;
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS;
/// The most that an HTTP/1 connection reads, or holds back to write, at once. A body that comes in one piece crosses to
/// its function as it is, and needs no memory to be gathered in: so much holds a head and a body of a mebibyte.
const BUFFER: usize = (1 << 20) + (1 << 16);
/// How connections are served.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// The most connections at once.
    pub(crate) max: usize,
    /// What a client may ask of a connection.
    pub(crate) limits: Limits,
}

/// Serves connections, and tracks those that are open.
pub(super) struct Connections<M> {
    /// Makes the application of a connection.
    make_app: M,
    http: Builder<TokioExecutor>,
    limits: Arc<Limits>,
    /// Asks idle connections to close, and others after what they serve.
    ending: CancellationToken,
    /// Tells the functions of upgraded connections that these have to end.
    leaving: CancellationToken,
    open: TaskTracker,
    /// Whether each answer is to be the last one of its connection.
    retiring: Arc<AtomicBool>,
}

impl<M, A, B> Connections<M>
where
    M: Fn(Arc<Peer>) -> A,
    A: Service<Request<Body>, Response = Response<B>, Error = Infallible, Future: Send> + Send + 'static,
    B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Send + Unpin + 'static,
{
    pub(super) fn new(make_app: M, options: &Options) -> Self {
        Self {
            make_app,
            http: http(&options.limits),
            limits: Arc::new(options.limits.clone()),
            ending: CancellationToken::new(),
            leaving: CancellationToken::new(),
            open: TaskTracker::new(),
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
        let io = io.observed_by(unsent, |stream| !matches!(stream.take_error(), Ok(None)));
        let lease = Connection::new(place, self.open.token(), self.leaving.clone());
        let peer = Arc::new(Peer::new(address, state, Arc::clone(&lease)));
        // hyper calls a connection's service from its task alone, and the application is always ready: no clone of it
        // is needed for a request.
        let app = RefCell::new((self.make_app)(Arc::clone(&peer)));
        let retiring = Arc::clone(&self.retiring);
        let patience = self.limits.write_timeout;
        let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
            let offer = UpgradeOffer::take(&mut request, peer.state());
            let in_flight = Arc::clone(peer.state()).begin();
            let version = request.version();
            let is_last = (version < Version::HTTP_2).then(|| Arc::clone(&retiring));
            let answer = app.borrow_mut().call(request.map(into_body));
            async move {
                let mut answer = answer.await?.map(|body| Held::new(body, in_flight, version, patience));
                // HTTP/2 has a message of its own for that.
                let status = answer.status();
                if is_last.is_some_and(|is_last| is_last.load(Ordering::Relaxed))
                    && status != StatusCode::SWITCHING_PROTOCOLS
                {
                    answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                }
                if let Some(offer) = offer {
                    offer.decide(status);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = self.http.serve_connection_with_upgrades(TokioIo::new(io), service).into_owned();
        // A token instead of `spawn`: its wrapper costs as much as a stage, at each poll.
        let ending = self.ending.clone();
        tokio::spawn(async move {
            // A client that breaks off is no event for an operator.
            if let Err(error) = serve_until(connection, ending).await {
                tracing::debug!(%address, "connection ended: {error}");
            }
            drop(lease);
        });
    }

    /// Makes every answer the last one of its connection, and waits a while until all are closed: closing an idle one
    /// that its client is about to use would be an error there.
    pub(super) async fn retire(&self, patience: Duration) {
        self.retiring.store(true, Ordering::Relaxed);
        self.leaving.cancel();
        self.open.close();
        let _ = tokio::time::timeout(patience, self.open.wait()).await;
    }

    /// Closes idle connections and lets the others finish what they serve.
    pub(super) async fn finish(self) {
        self.ending.cancel();
        self.leaving.cancel();
        self.open.close();
        self.open.wait().await;
    }
}

/// Serves a connection, and asks it to end when the token is cancelled.
async fn serve_until<C: GracefulConnection>(connection: C, ending: CancellationToken) -> C::Output {
    let (mut connection, mut cancelled) = (pin!(connection), pin!(ending.cancelled()));
    let (mut registered, mut told) = (false, false);
    poll_fn(|cx| {
        // The first poll registers the task's waker, which stays the same: until the token is cancelled, polling it again
        // for every request would change nothing.
        if !told && (!registered || ending.is_cancelled()) {
            registered = true;
            if cancelled.as_mut().poll(cx).is_ready() {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
        }
        connection.as_mut().poll(cx)
    })
    .await
}

/// An empty body needs no box.
fn into_body(body: Incoming) -> Body {
    if body.is_end_stream() { Body::empty() } else { Body::new(body) }
}

/// A body that keeps its call in flight until hyper has taken all of it.
struct Held<B> {
    body: HeldBody<B>,
    in_flight: InFlight,
}

enum HeldBody<B> {
    /// Of HTTP/1, or taken at once.
    Plain(B),
    /// Of HTTP/2.
    Stream(Stallable<B>),
}

impl<B: HttpBody<Data = Bytes> + Send + 'static> Held<B> {
    fn new(body: B, in_flight: InFlight, version: Version, patience: Duration) -> Self {
        let body = if version == Version::HTTP_2 {
            Stallable::new(body, patience).map_or_else(HeldBody::Plain, HeldBody::Stream)
        } else {
            HeldBody::Plain(body)
        };
        Self { body, in_flight }
    }
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>> + Unpin> HttpBody for Held<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = match &mut self.body {
            // HTTP/2 resets the stream, and other streams of the connection go on.
            HeldBody::Stream(body) => return Pin::new(body).poll_frame(cx),
            HeldBody::Plain(body) => body,
        };
        let frame = ready!(Pin::new(body).poll_frame(cx)).map(|frame| frame.map_err(Into::into));
        if matches!(frame, Some(Err(_))) {
            self.in_flight.break_off();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            HeldBody::Plain(body) => body.is_end_stream(),
            HeldBody::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            HeldBody::Plain(body) => body.size_hint(),
            HeldBody::Stream(body) => body.size_hint(),
        }
    }
}

/// Closing the socket sends RST from now on, and no orderly end.
fn reset(stream: &TcpStream) {
    // What cannot be set is only less plain to the client: its last chunk is still missing.
    let _ = stream.set_zero_linger();
}

fn http(limits: &Limits) -> Builder<TokioExecutor> {
    let mut http = Builder::new(TokioExecutor::new());
    // The guard times heads and idle connections: hyper's own timer does not tell one from the other.
    http.http1().timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(BUFFER);
    http.http2()
        .enable_connect_protocol()
        .timer(TokioTimer::new())
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(MAX_STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // Twice the limit, which counts otherwise there (RFC 9113, section 6.5.2), so that it is HeadLimits that answers.
        .max_header_list_size(u32::try_from(limits.max_head_bytes.saturating_mul(2)).unwrap_or(u32::MAX));
    http
}
