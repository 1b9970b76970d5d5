//! The client's end of a connection.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;

use fezz_guard::{ConnectionState, Violation};

/// What every request of a connection has in common.
#[derive(Debug)]
pub(crate) struct Peer {
    address: String,
    state: Arc<ConnectionState>,
}

impl Peer {
    pub(super) fn new(address: SocketAddr, state: Arc<ConnectionState>) -> Self {
        Self { address: address.to_string(), state }
    }

    /// The client's address and port.
    pub(crate) fn address_text(&self) -> &str {
        &self.address
    }

    /// Why the guard put a request with this method in the place of the one that was sent; see
    /// [`ConnectionState::rejection`].
    pub(crate) fn rejection(&self, method: &Method) -> Option<Violation> {
        self.state.rejection(method)
    }

    /// What is shared with the connection's guard.
    pub(super) const fn state(&self) -> &Arc<ConnectionState> {
        &self.state
    }
}
