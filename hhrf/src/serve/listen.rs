//! Listening sockets: bound here, or handed over by systemd.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use fezz_runtime::sys::{adopt, detect_dead_peers};

use crate::supervise::Sockets;

/// systemd's name for the admin listener (`FileDescriptorName=`); any other is that of functions.
const ADMIN: &str = "admin";
/// A connection on which nothing is sent is probed after this time, so that a client whose machine is gone holds nothing
/// for long.
const PROBE_AFTER: Duration = Duration::from_secs(15);
/// The least time that a client has to acknowledge what was sent to it.
const MIN_ACKNOWLEDGE: Duration = Duration::from_secs(5);
/// Helps where the admin listener's address is taken.
const ADMIN_HINT: &str = " This is the admin listener's address; --admin gives it another, or turns it off.";

/// Where to listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// For functions.
    pub(crate) listen: SocketAddr,
    /// For operators, if anywhere.
    pub(crate) admin: Option<SocketAddr>,
}

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {source}; is another host running there?{hint}")]
pub struct ListenError {
    address: SocketAddr,
    source: io::Error,
    hint: &'static str,
}

/// The listeners: those that systemd has bound for this process, and new ones for the rest.
pub(crate) fn bind(addresses: &Addresses) -> Result<Sockets, ListenError> {
    let (mut listener, mut admin) = (None, None);
    for (socket, name) in activated() {
        if name == ADMIN {
            admin = Some(socket);
        } else {
            listener = Some(socket);
        }
    }
    let admin = match (admin, addresses.admin) {
        (None, Some(address)) => Some(listen(address, ADMIN_HINT)?),
        (admin, _) => admin,
    };
    let listener = listener.map_or_else(|| listen(addresses.listen, ""), Ok)?;
    Ok(Sockets { listener, admin })
}

fn listen(address: SocketAddr, hint: &'static str) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).map_err(|source| ListenError { address, source, hint })
}

/// Has the kernel end the connections of this listener whose clients are gone without a word: those that do not acknowledge
/// what was sent within `patience`, be it data or a probe.
pub(super) fn end_dead_connections(listener: &TcpListener, patience: Duration) {
    if let Err(error) = detect_dead_peers(listener, PROBE_AFTER, patience.max(MIN_ACKNOWLEDGE)) {
        tracing::warn!("clients that are gone without a word will not be noticed: {error}");
    }
}

/// What systemd has bound for this process, with its names.
fn activated() -> Vec<(TcpListener, String)> {
    match sd_notify::listen_fds_with_names() {
        Ok(fds) => fds.map(|(fd, name)| (TcpListener::from(adopt(fd)), name)).collect(),
        Err(error) => {
            tracing::debug!("no sockets from systemd: {error}");
            Vec::new()
        }
    }
}
