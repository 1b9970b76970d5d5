//! The listening sockets: bound here, or handed over by systemd.

use std::net::TcpListener;

use crate::config::Settings;
use crate::ffi::adopt;
use crate::serve::{ServeError, listen};

/// systemd's name for the admin listener (`FileDescriptorName=`); any other is that of functions.
const ADMIN: &str = "admin";

/// They stay open for as long as the supervisor lives.
#[derive(Debug)]
pub(super) struct Sockets {
    pub(super) listener: TcpListener,
    pub(super) admin: Option<TcpListener>,
}

impl Sockets {
    pub(super) async fn bind(settings: &Settings) -> Result<Self, ServeError> {
        let (mut listener, mut admin) = (None, None);
        for (socket, name) in activated() {
            if name == ADMIN {
                admin = Some(socket);
            } else {
                listener = Some(socket);
            }
        }
        let listener = match listener {
            Some(listener) => listener,
            None => plain(listen(settings.listen, "").await?)?,
        };
        let admin = match (admin, settings.admin) {
            (Some(admin), _) => Some(admin),
            (None, Some(address)) => Some(plain(listen(address, crate::serve::ADMIN_HINT).await?)?),
            (None, None) => None,
        };
        Ok(Self { listener, admin })
    }
}

fn plain(
    (listener, address): (tokio::net::TcpListener, std::net::SocketAddr),
) -> Result<TcpListener, ServeError> {
    listener.into_std().map_err(|source| ServeError::Listen { address, source, hint: "" })
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
