//! HHRF, the host of fezz: serves native Rust functions over HTTP.
//!
//! A request goes from the outer stack through Route, Resolve and Invoke to Respond; `app.rs` shows the whole of it on
//! one screen, and ARCHITECTURE.md tells why it has this shape. The binary is a thin shell over this library.

mod admin;
mod app;
mod arrive;
mod catalog;
pub mod config;
mod error;
mod fds;
mod ffi;
mod hop_by_hop;
mod invoke;
pub mod logging;
mod metrics;
mod observe;
mod platform;
mod pool;
mod refuse;
mod resolve;
mod respond;
mod route;
mod serve;
mod supervise;
mod worker;

pub use catalog::probe;
pub use ffi::scheduling::worker_started;
pub use platform::SUPERVISES;
pub use serve::{ServeError, serve};
pub use supervise::{InheritError, Inherited, supervise};
pub use worker::run as worker;
