//! Write a native function for the fezz host.
//!
//! A function is a crate of type `cdylib` with one public function that takes a [`FezzHttpRequest`] and answers with
//! a [`FezzHttpResponse`]:
//!
//! ```
//! use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};
//!
//! #[fezz_function]
//! pub fn hello(req: FezzHttpRequest) -> FezzHttpResponse {
//!     let name = req.param("name").unwrap_or("world").to_owned();
//!     FezzHttpResponse::ok().text(format!("hello {name}"))
//! }
//! ```
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//! ```
//!
//! Put the library and a `fezz.json` into a folder below `functions/`, and the host serves it.
//!
//! State that is expensive to make lives in a [`OnceLock`](std::sync::OnceLock) static and stays warm between calls:
//!
//! ```
//! use std::sync::OnceLock;
//!
//! fn greeting() -> &'static str {
//!     static GREETING: OnceLock<String> = OnceLock::new();
//!     GREETING.get_or_init(|| fezz_sdk::variable("GREETING").unwrap_or("hello").to_owned())
//! }
//! ```
//!
//! A function that is not called for a while is evicted, and loaded again when it is called. Its library stays mapped, so
//! that statics are as they were, and what they hold must still work: a connection that the other side has closed
//! meanwhile is not one that does. A deploy of new code or new settings begins with new statics, and so does a restart;
//! only [`data_dir`] outlives them all.
//!
//! A function runs on a thread that may block. A panic in it becomes a 500 and harms nobody else, unless the crate is
//! built with `panic = "abort"`.

mod body;
mod body_stream;
pub mod entry;
mod error;
mod extract;
mod handler;
mod hooks;
mod host;
mod logs;
mod request;
mod respond;
mod response;
mod runtime;
mod sse;
#[cfg(feature = "testing")]
pub mod testing;

pub use body::{Body, BoxError};
pub use body_stream::{BodyStream, BodyStreamError};
pub use bytes::Bytes;
pub use error::{FezzError, FieldError};
pub use extract::{Context, FromRequest, Json, Path, Query};
pub use fezz_abi as abi;
pub use fezz_macro::fezz_function;
pub use handler::Function;
pub use hooks::{InitOutcome, IntoInitOutcome};
pub use host::{Host, Level, data_dir, host, log, variable};
pub use http;
pub use request::{BodyError, FezzHttpRequest};
pub use respond::{IntoFezzResponse, IntoFezzResponseParts};
pub use response::FezzHttpResponse;
#[cfg(feature = "tokio")]
pub use runtime::runtime;
pub use sse::{Event, Sse};
