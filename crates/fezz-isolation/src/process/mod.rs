//! The worker process: one function, loaded in a sandbox, that serves calls from the host.
//!
//! The process takes its setup from its standard input, a socket; enters the [sandbox](crate::sandbox); loads the
//! library; reports what the sandbox enforces; and then serves calls, one after another on each of the sockets that came
//! with the setup. It ends when the host closes them, and when the host ends.

mod body;
mod log;
mod polled;
mod request;
mod response;
mod run;
mod serve;

pub use run::run;
