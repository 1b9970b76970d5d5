//! The client's end of a connection.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use fezz_guard::{ConnectionState, Violation};
use http::{Extensions, HeaderValue, Method};
use hyper::upgrade::OnUpgrade;

use crate::call::{Connection, Offer};

/// What all requests of a connection share.
#[derive(Debug)]
pub(crate) struct Peer {
    address: Arc<str>,
    state: Arc<ConnectionState>,
    /// What an upgraded connection keeps of this one.
    connection: Arc<Connection>,
    /// The map of the last request's extensions, emptied, for the next one: making one costs four allocations.
    extensions: Mutex<Extensions>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, state: Arc<ConnectionState>, connection: Arc<Connection>) -> Self {
        Self { address: address.to_string().into(), state, connection, extensions: Mutex::default() }
    }

    /// An upgrade to this protocol; none if it is one that no function is offered.
    pub(super) fn offer(&self, protocol: HeaderValue, on_upgrade: OnUpgrade) -> Option<Box<Offer>> {
        let in_flight = || Arc::clone(&self.state).begin();
        Offer::new(protocol, on_upgrade, &self.connection, in_flight).map(Box::new)
    }

    /// An empty map for a request's extensions.
    pub(super) fn take_extensions(&self) -> Extensions {
        std::mem::take(&mut self.extensions.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a map for the next request.
    pub(super) fn keep_extensions(&self, mut extensions: Extensions) {
        extensions.clear();
        *self.extensions.lock().unwrap_or_else(PoisonError::into_inner) = extensions;
    }

    /// The client's address and port.
    pub(crate) const fn address(&self) -> &Arc<str> {
        &self.address
    }

    /// Why the guard put a request with this method in the place of the one that was sent; see
    /// [`ConnectionState::rejection`].
    pub(crate) fn rejection(&self, method: &Method) -> Option<Violation> {
        self.state.rejection(method)
    }

    /// What the connection's guard shares.
    pub(crate) const fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }
}
