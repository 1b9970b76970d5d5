//! `hhrf worker`: one function in a process of its own, started and watched by the host's [`pool`](crate::pool).
//!
//! The process takes its setup from its standard input, a socket; gives up what it must not have ([`sandbox`]); loads
//! the library; says what really holds; and then serves calls, one after another on each of the sockets that came with
//! the setup. It ends when the host closes them, and with the host whatever happens.

mod claims;
mod forward;
mod incoming;
mod message;
mod polled;
mod protocol;
mod run;
pub(crate) mod sandbox;
mod serve;

pub(crate) use claims::Claims;
pub(crate) use incoming::Incoming;
pub(crate) use message::{Outcome, Ready, Record, Setup, WireRequest, WireResponse};
pub(crate) use protocol::{CHUNK, Encoder, HEADER, Header, INLINE_BODY, Kind, ProtocolError, STREAMED};
pub use run::run;
