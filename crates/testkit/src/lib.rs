//! Test fixtures: the real host on a port chosen by the kernel, real libraries, a load generator, PostgreSQL and, with
//! the feature `browser`, Chromium.
//!
//! Authors of functions use it through `fezz_sdk::testing`.
//!
//! ```ignore
//! let host = Host::new().function("todos@latest", &library("example_todosapi"), &[("GET", "/hello")]).start();
//! host.get("/rpc/todos@latest/hello").assert_status(200);
//! ```
//!
//! Functions panic on failure, at the caller's line: a test that cannot be set up has failed.

#[cfg(feature = "browser")]
mod browser;
mod build;
mod client;
mod deploy;
mod host;
mod load;
mod log;
mod numbered;
mod postgres;
mod response;
mod running;
mod stage;
mod wait;

#[cfg(feature = "browser")]
pub use browser::{Browser, Tab};
pub use build::{binary, c_library, copy_own, host_program, library, own_function, release_library};
pub use deploy::{Folder, manifest};
pub use host::Host;
pub use load::{Load, Outcome};
pub use log::LogLine;
pub use numbered::{Numbered, digest};
pub use postgres::Postgres;
pub use response::Response;
pub use running::Running;
pub use stage::Stage;
