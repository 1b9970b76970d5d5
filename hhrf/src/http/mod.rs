//! HTTP: the stack that a request passes, from the router to the call. [`mod@app`] shows all of it.

mod app;
mod cors;
mod error;
mod handler;
mod head_limits;
mod hop_by_hop;
mod normalise;
mod peer;
mod request;
mod resolve;
mod respond;
mod route;
mod trace;

pub(crate) use app::{Functions, Options, app};
pub(crate) use head_limits::HeadLimitsLayer;
pub(crate) use peer::Peer;
pub(crate) use route::Sticky;
