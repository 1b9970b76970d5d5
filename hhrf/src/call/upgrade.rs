//! Upgrades: a call that is answered with 101 becomes a connection between its client and its function.
//!
//! The client's bytes are the request's stream `upgraded`, the function's bytes the stream of its response. The function
//! reads the socket itself, when it asks for more ([`Incoming`]); what it writes, a task of the host sends ([`pump`]). So
//! each side is held up by the other, and between them lies no more than one piece of each direction.

mod incoming;
mod pump;

use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use fezz_guard::InFlight;
use fezz_runtime::ffi::{Call, Keep, Pieces, Reply, ReplyBody, ReplyError};
use http::HeaderValue;
use http::header::{CONTENT_LENGTH, UPGRADE};
use hyper::upgrade::OnUpgrade;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::stream::streamed;
use super::{BlockingPool, CallError, CallRequest};
use crate::function::Function;
use incoming::{Incoming, Stream};
use pump::Pump;
pub(super) use pump::Running;

/// A client's connection, as long as it or an upgrade of it is open.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Its place among those that may be open.
    _place: OwnedSemaphorePermit,
    /// Has the end of the host wait for it.
    _open: TaskTrackerToken,
    /// Cancelled when the host is about to end.
    leaving: CancellationToken,
}

impl Connection {
    pub(crate) fn new(
        place: OwnedSemaphorePermit,
        open: TaskTrackerToken,
        leaving: CancellationToken,
    ) -> Arc<Self> {
        Arc::new(Self { _place: place, _open: open, leaving })
    }
}

/// An upgrade that a client asks for.
#[derive(Debug)]
pub(crate) struct Offer {
    /// The protocol, as the client wrote it; or several.
    protocol: HeaderValue,
    socket: Socket,
}

/// What an upgraded connection takes over.
#[derive(Debug)]
struct Socket {
    on_upgrade: OnUpgrade,
    connection: Arc<Connection>,
    /// Counts as a request of the connection.
    in_flight: InFlight,
}

impl Offer {
    /// None for an upgrade to HTTP/2, which clients that speak it ask for with any request.
    pub(crate) fn new(
        protocol: HeaderValue,
        on_upgrade: OnUpgrade,
        connection: &Arc<Connection>,
        in_flight: impl FnOnce() -> InFlight,
    ) -> Option<Self> {
        if names(&protocol).all(|name| name.eq_ignore_ascii_case(b"h2c")) {
            return None;
        }
        let connection = Arc::clone(connection);
        Some(Self { protocol, socket: Socket { on_upgrade, connection, in_flight: in_flight() } })
    }

    /// Whether it is one to WebSocket (RFC 6455).
    pub(crate) fn is_websocket(&self) -> bool {
        names(&self.protocol).any(|name| name.eq_ignore_ascii_case(b"websocket"))
    }
}

/// The protocols of an `Upgrade` header.
fn names(protocol: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    protocol.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

/// Where a function runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    InProcess,
    /// A worker is reached through its socket alone.
    InWorker,
}

/// An upgrade that a function may make, as a part of its request.
#[derive(Debug)]
pub(crate) struct Upgrade {
    protocol: HeaderValue,
    incoming: Arc<Incoming>,
    /// Until the call is built.
    pieces: Option<Stream>,
    /// Until the upgrade is made.
    socket: Mutex<Option<(Socket, Place)>>,
}

impl Upgrade {
    /// Puts the upgrade of a request on offer, if its function takes upgrades and may have one more.
    pub(super) fn prepare(
        request: &mut CallRequest,
        takes_upgrades: bool,
        runs: Runs,
    ) -> Result<(), CallError> {
        let Some(offer) = request.head.offer.take() else { return Ok(()) };
        if takes_upgrades {
            let place = Place::take(&request.function)?;
            request.upgrade = Some(Box::new(Self::new(*offer, place, runs)));
        }
        Ok(())
    }

    fn new(offer: Offer, place: Place, runs: Runs) -> Self {
        let Offer { protocol, socket } = offer;
        let (incoming, pieces) = Incoming::new(Arc::clone(&place.0), runs);
        Self { protocol, incoming, pieces: Some(pieces), socket: Mutex::new(Some((socket, place))) }
    }

    /// What a call in a worker process needs: its request stays behind, with the protocol.
    pub(super) fn take(&mut self) -> Option<(Box<dyn Pieces>, Taken)> {
        let (socket, place) = self.socket.get_mut().unwrap_or_else(PoisonError::into_inner).take()?;
        let (incoming, protocol) = (Arc::clone(&self.incoming), self.protocol.clone());
        Some((self.take_pieces()?, Taken { protocol, incoming, socket, place }))
    }

    pub(super) fn protocol(&self) -> &[u8] {
        self.protocol.as_bytes()
    }

    pub(super) fn take_pieces(&mut self) -> Option<Box<dyn Pieces>> {
        Some(Box::new(self.pieces.take()?))
    }

    /// A function that waits for the client's bytes hears of it there.
    pub(super) fn cancel(&self) {
        self.incoming.end();
    }
}

/// One of the upgraded connections that a function may have.
#[derive(Debug)]
struct Place(Arc<Function>);

impl Place {
    fn take(function: &Arc<Function>) -> Result<Self, CallError> {
        let limit = function.limits.max_upgrades;
        if function.calls.open_upgrade(limit) {
            return Ok(Self(Arc::clone(function)));
        }
        function.stats.refused.inc();
        Err(CallError::Upgrades { open: limit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.close_upgrade();
    }
}

/// Makes the upgrade that a call was answered with. The permit of the call is free; the connection has a place of its own.
pub(super) fn switch(
    reply: Reply<ReplyBody>,
    call: &Call<CallRequest>,
    keep: Keep,
    pool: &BlockingPool,
) -> Result<Reply<Body>, CallError> {
    let upgrade = call.source().upgrade.as_ref().ok_or(ReplyError::NotOffered)?;
    let taken = upgrade.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
    let (socket, place) = taken.ok_or(CallError::Lost)?;
    let (incoming, protocol) = (Arc::clone(&upgrade.incoming), upgrade.protocol.clone());
    let request_id = call.source().head.id.clone();
    let reply = streamed(without_length(reply), call, None, pool)?;
    Ok(Taken { protocol, incoming, socket, place }.switch(
        reply,
        Running::Here(call.clone()),
        request_id,
        keep,
    ))
}

/// What is sent over an upgraded connection has no length.
pub(super) fn without_length<B>(mut reply: Reply<B>) -> Reply<B> {
    reply.headers.remove(CONTENT_LENGTH);
    reply
}

/// An upgrade that can be made, without its request.
pub(super) struct Taken {
    protocol: HeaderValue,
    incoming: Arc<Incoming>,
    socket: Socket,
    place: Place,
}

impl Taken {
    /// Makes it; the reply's body is what the function sends.
    pub(super) fn switch(
        self,
        reply: Reply<Body>,
        running: Running,
        request_id: HeaderValue,
        keep: Keep,
    ) -> Reply<Body> {
        let Self { protocol, incoming, socket, place } = self;
        let Reply { status, mut headers, body: outgoing } = reply;
        // A function in C need not repeat it.
        headers.entry(UPGRADE).or_insert(protocol);
        Pump { socket, place, incoming, outgoing, running, request_id, _keep: keep }.start();
        Reply { status, headers, body: Body::empty() }
    }
}
