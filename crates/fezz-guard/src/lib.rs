//! Stands between a connection's socket and hyper, and judges every HTTP/1 request before hyper reads it.
//!
//! hyper's parser forgives what lets a client smuggle a request past a proxy: a `Content-Length` next to a
//! `Transfer-Encoding`, no `Host` or two, line ends without CR, `Transfer-Encoding: gzip, chunked`. It also removes
//! the evidence before a service could look, answers what it does refuse by itself and without a body, and counts the
//! idle time of a connection as slowness of the next head. So [`Guarded`] looks first.
//!
//! It follows the framing of RFC 9112: a head, then a body of known length or in chunks, then the next head. A good
//! head passes as it came. A bad one never reaches hyper. In its place hyper reads a small, faultless request with
//! the method [`REJECTED_METHOD`](state::REJECTED_METHOD) and `connection: close`, so that the refusal takes the usual way: behind the
//! answers to earlier requests, through the one place that chooses statuses, with a body that says what was wrong.
//! The service asks [`ConnectionState::rejection`] for the reason. From then on nothing more is read for hyper, and
//! when it closes, the connection lingers until the client has had a chance to read the answer.
//!
//! A body cannot be replaced once hyper is in it, so a broken chunk is an I/O error: the body fails, the connection
//! closes. Where the two could disagree about a body's end, the guard is the stricter one.
//!
//! A head that never ends is refused after `header_timeout`; a connection without requests ends after `idle_timeout`,
//! quietly. The idle time stands still while the service holds an [`InFlight`].
//!
//! A client that takes nothing of what is sent to it for `write_timeout` is cut off. Where an answer broke off in the
//! middle, [`InFlight::break_off`], the connection is reset when it is closed, so that no client takes what came for
//! the whole.
//!
//! A connection that opens with the HTTP/2 preface passes untouched from then on; it too ends after `idle_timeout`.
//!
//! hyper's own limits have to be at least as wide as these, or it answers by itself after all; its defaults are, with
//! the most that the settings allow. Give it no `header_read_timeout`. Serve `with_upgrades` and call [`decline_upgrade`], or hyper drops the socket of a client
//! that asked for one. The service must never answer 101, since the guard goes on reading requests.

mod chunked;
mod class;
mod clock;
mod fields;
mod head;
mod io;
mod linger;
mod scanner;
mod stall;
mod state;
mod target;
#[cfg(test)]
mod tests;
mod upgrade;
mod violation;

use std::sync::Arc;
use std::time::Duration;

pub use io::Guarded;
pub use state::{ConnectionState, InFlight};
pub use upgrade::decline_upgrade;
pub use violation::Violation;

/// What a client may ask of a connection.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The longest head, from the request line to the empty line.
    pub max_head_bytes: usize,
    /// The most header lines.
    pub max_headers: usize,
    /// How long a head may take from its first byte; the first one, from the accept.
    pub header_timeout: Duration,
    /// How long a connection may be without a request after its last answer.
    pub idle_timeout: Duration,
    /// How long the client may take nothing of what is sent to it.
    pub write_timeout: Duration,
}

/// Guards `io`, a connection that was just accepted. Its service gets the state. `reset` is to make closing it look like
/// a failure to the client.
pub fn guard<Io>(io: Io, limits: Arc<Limits>, reset: fn(&Io)) -> (Guarded<Io>, Arc<ConnectionState>) {
    let state = Arc::new(ConnectionState::default());
    (Guarded::new(io, limits, Arc::clone(&state), reset), state)
}
