//! The task of an upgraded connection: sends what the function writes, and sees to the connection's end.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use fezz_isolation::host::CallHandle;
use fezz_runtime::ffi::{Call, Keep, RequestSource};
use http::HeaderValue;
use http_body::Body as _;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout};

use super::incoming::{Incoming, Reader};
use super::{CallRequest, Place, Socket};
use crate::function::Function;

/// How long the host waits for the client to close its half after the function has closed both: closing at once could cost
/// the client the last bytes (RFC 9112, section 9.6).
const LINGER: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The function has closed both directions.
    Closed,
    /// The client can be sent nothing more.
    ClientGone,
    /// The function's stream broke off.
    BrokenOff,
    /// Nothing passed for `upgrade_idle_ms`.
    Idle,
    /// The client left before the response with 101 was sent.
    NeverBegun,
}

impl End {
    const fn text(self) -> &'static str {
        match self {
            Self::Closed => "the function has closed it",
            Self::ClientGone => "the client has gone",
            Self::BrokenOff => "the function broke off",
            Self::Idle => "nothing passed for upgrade_idle_ms",
            Self::NeverBegun => "the client left before it was made",
        }
    }
}

/// The call that has become a connection, to tell its function something.
pub(in super::super) enum Running {
    /// In this process.
    Here(Call<CallRequest>),
    /// In a worker.
    Worker(Arc<CallHandle>),
}

impl Running {
    /// The connection should end.
    fn tell_to_close(&self) {
        match self {
            Self::Here(call) => call.source().cancelled().store(1, Ordering::Relaxed),
            Self::Worker(handle) => handle.tell_to_close(),
        }
    }
}

/// An upgraded connection and all that it holds.
pub(super) struct Pump {
    pub(super) socket: Socket,
    pub(super) place: Place,
    pub(super) incoming: Arc<Incoming>,
    /// What the function writes.
    pub(super) outgoing: Body,
    pub(super) running: Running,
    pub(super) request_id: HeaderValue,
    /// Keeps the function loaded.
    pub(super) _keep: Keep,
}

impl Pump {
    /// Runs in a task of its own: the connection's ends with the upgrade.
    pub(super) fn start(self) {
        tokio::spawn(self.run());
    }

    async fn run(self) {
        let Self { socket, place, incoming, outgoing, running, request_id, _keep } = self;
        let Socket { on_upgrade, connection, in_flight } = socket;
        let function = Arc::clone(&place.0);
        let begin = Instant::now();
        let end = match on_upgrade.await {
            Err(_) => End::NeverBegun,
            Ok(upgraded) => {
                let _open = Open::count(&function);
                let (reader, writer) = tokio::io::split(TokioIo::new(upgraded));
                incoming.open(reader);
                let sender = Sender { outgoing, writer, incoming: &incoming, function: &function };
                let end = pump(sender, running, &incoming, &connection.leaving, &function).await;
                if end == End::BrokenOff {
                    in_flight.break_off();
                }
                end
            }
        };
        // Before the line of the log, so that who reads it finds the place free.
        drop((incoming.end(), in_flight, place, connection));
        let (seconds, request_id) = (begin.elapsed().as_secs(), request_id.to_str().unwrap_or_default());
        tracing::debug!(
            function = function.name(),
            request_id,
            seconds,
            "upgraded connection ended: {}",
            end.text()
        );
    }
}

/// Sends until the function closes its half, then waits for the rest. The function is told when the host is about to end.
async fn pump(
    sender: Sender<'_>,
    running: Running,
    incoming: &Incoming,
    leaving: &tokio_util::sync::CancellationToken,
    function: &Function,
) -> End {
    let mut running = Some(running);
    let mut sending = pin!(sender.send());
    let mut leaving = pin!(leaving.cancelled());
    let mut idle = pin!(incoming.activity.idle(function.limits.upgrade_idle));
    let mut told = false;
    loop {
        tokio::select! {
            end = &mut sending, if running.is_some() => {
                // The function holds its own reference, if it still reads.
                running = None;
                if let Some(end) = end {
                    return end;
                }
            }
            () = incoming.released.notified(), if running.is_none() => {
                if let Some(reader) = incoming.end() {
                    discard(reader).await;
                }
                return End::Closed;
            }
            () = &mut leaving, if !told => {
                told = true;
                if let Some(running) = &running {
                    running.tell_to_close();
                }
                // It looks at the flag when it is polled; `sending` polls its stream in the next turn.
                incoming.notify();
            }
            () = &mut idle => return End::Idle,
        }
    }
}

/// The sending half.
struct Sender<'a> {
    outgoing: Body,
    writer: tokio::io::WriteHalf<TokioIo<hyper::upgrade::Upgraded>>,
    incoming: &'a Incoming,
    function: &'a Function,
}

impl Sender<'_> {
    /// None when the function has closed its half, which closes it for the client too.
    async fn send(self) -> Option<End> {
        let Self { mut outgoing, mut writer, incoming, function } = self;
        while let Some(piece) = poll_fn(|cx| Pin::new(&mut outgoing).poll_frame(cx)).await {
            let Ok(piece) = piece else { return Some(End::BrokenOff) };
            let Ok(mut data) = piece.into_data() else { continue };
            let length = data.len() as u64;
            while !data.is_empty() {
                match writer.write_buf(&mut data).await {
                    Ok(count) if count > 0 => incoming.activity.now(),
                    _ => return Some(End::ClientGone),
                }
            }
            function.stats.upgrade_sent.inc_by(length);
        }
        // Released first: the function may have closed both halves.
        drop(outgoing);
        writer.shutdown().await.is_err().then_some(End::ClientGone)
    }
}

/// Reads and drops what the client still sends, until it closes its half.
async fn discard(mut reader: Reader) {
    let all = async {
        let mut buffer = [0; 1024];
        while reader.read(&mut buffer).await.is_ok_and(|count| count > 0) {}
    };
    let _ = timeout(LINGER, all).await;
}

/// Counts a connection as open.
struct Open<'f>(&'f Function);

impl<'f> Open<'f> {
    fn count(function: &'f Function) -> Self {
        function.stats.upgrades.inc();
        function.stats.open_upgrades.inc();
        Self(function)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.stats.open_upgrades.dec();
    }
}
