//! The client's end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use fezz_guard::{ConnectionState, Violation};
use http::Method;

/// What all requests of a connection share.
#[derive(Debug)]
pub(crate) struct Peer {
    address: Arc<str>,
    state: Arc<ConnectionState>,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, state: Arc<ConnectionState>) -> Self {
        Self { address: address.to_string().into(), state }
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
