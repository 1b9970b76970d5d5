//! [`Context`]: what a call knows besides HTTP.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use super::FromRequest;
use crate::{FezzError, FezzHttpRequest, Host};

/// Of which function and request this call is, until when it has time, and what settings it has. In a router it is an
/// extension of the request: `Extension<Context>`.
///
/// ```
/// use fezz_sdk::{Context, fezz_function};
///
/// #[fezz_function]
/// pub fn about(context: Context) -> String {
///     format!("{}@{}", context.function_id(), context.function_version())
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    request: FezzHttpRequest,
    host: Option<&'static Host>,
}

impl Context {
    pub(crate) fn of(request: &FezzHttpRequest) -> Self {
        Self { request: request.clone(), host: crate::host() }
    }

    /// The function's id; empty outside a host.
    #[must_use]
    pub fn function_id(&self) -> &str {
        self.host.map_or("", Host::function_id)
    }

    /// The function's version; empty outside a host.
    #[must_use]
    pub fn function_version(&self) -> &str {
        self.host.map_or("", Host::function_version)
    }

    /// The client's `x-request-id`, or one that the host made.
    #[must_use]
    pub fn request_id(&self) -> &str {
        self.request.request_id()
    }

    /// The client's W3C `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> Option<&str> {
        self.request.traceparent()
    }

    /// When the host gives up on this call and answers 504.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.request.deadline()
    }

    /// How long it is until then.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        Some(self.deadline()?.saturating_duration_since(Instant::now()))
    }

    /// Whether nobody waits for the answer any more.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.request.is_cancelled()
    }

    /// A variable or a secret, from `env` or `secrets` in `fezz.json`.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.host?.variable(name)
    }

    /// All variables and secrets.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.host.into_iter().flat_map(Host::variables)
    }

    /// A directory that belongs to this function's id and survives its versions; none outside a host.
    #[must_use]
    pub fn data_dir(&self) -> Option<&Path> {
        self.host.map(Host::data_dir)
    }

    /// The address that the client connected from.
    #[must_use]
    pub fn client_addr(&self) -> Option<SocketAddr> {
        self.request.client_addr()
    }
}

impl FromRequest for Context {
    fn from_request(request: &FezzHttpRequest) -> Result<Self, FezzError> {
        Ok(Self::of(request))
    }
}
