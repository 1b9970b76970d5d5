//! The worker process: serves calls of one function from inside a sandbox.
//!
//! The process reads its setup from its standard input, a socket, enters the [sandbox](crate::sandbox), loads the library
//! and reports what the sandbox enforces. It then serves calls, one after another on each of the sockets that came with
//! the setup. It ends when the host closes them, or when the host ends.

mod body;
mod log;
mod polled;
mod request;
mod response;
mod run;
mod serve;

pub use run::run;
