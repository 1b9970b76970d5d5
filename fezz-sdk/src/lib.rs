//! Write a native function for the fezz host.
//!
//! A function is a crate of type `cdylib` with one function that has the attribute [`fezz_function`]:
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
//! To deploy it, put the library and a `fezz.json` into a folder below `functions/`.
//!
//! # Arguments and results
//!
//! Arguments are [`FromRequest`], in any order: [`Path`], [`Query`], [`Json`], [`Bytes`], [`Context`] and more. Results
//! are [`IntoFezzResponse`]: text, bytes, [`Json`], tuples, `Option`, `Result`. `?` converts any error to a
//! [`FezzError`].
//!
//! ```
//! use fezz_sdk::{FezzError, Json, Path, fezz_function, http::StatusCode};
//!
//! #[fezz_function]
//! pub fn divide(Path((a, b)): Path<(i64, i64)>) -> Result<(StatusCode, Json<i64>), FezzError> {
//!     let quotient = a.checked_div(b).ok_or_else(|| FezzError::unprocessable("nothing divides by zero"))?;
//!     Ok((StatusCode::OK, Json(quotient)))
//! }
//! ```
//!
//! # Plain and async
//!
//! A plain `fn` runs on a thread that may block. An `async fn` is polled on the host's own threads and must not block. It
//! is cancelled, by dropping its future, at its deadline and when its client disconnects. With the feature `tokio` the
//! library has a runtime of its own, within which futures are polled.
//!
//! ```
//! # #[cfg(feature = "tokio")]
//! # mod example {
//! use std::time::Duration;
//!
//! use fezz_sdk::fezz_function;
//!
//! #[fezz_function(threads = 2)]
//! pub async fn patient() -> &'static str {
//!     tokio::time::sleep(Duration::from_millis(10)).await;
//!     "done"
//! }
//! # }
//! ```
//!
//! # Routers
//!
//! A function without arguments, async or not, may return a tower service, such as an axum router (feature `axum`), or a
//! `Result` of one. The service is made once, when the function is loaded; an error or a panic fails the load. One that makes
//! a service for each client is taken too, such as `Router::into_make_service_with_connect_info::<SocketAddr>()`.
//!
//! ```
//! # #[cfg(feature = "axum")]
//! # mod example {
//! use axum::{Router, routing::get};
//! use fezz_sdk::fezz_function;
//!
//! #[fezz_function]
//! pub fn app() -> Router {
//!     Router::new().route("/hello", get(|| async { "hello" }))
//! }
//! # }
//! ```
//!
//! # Streams
//!
//! [`Body`] and [`Sse`] stream a response; [`BodyStream`] streams a request's body.
//!
//! # Upgrades
//!
//! On a route with `"upgrade": true` in `fezz.json` a connection can become a WebSocket, or speak another protocol. A router
//! uses the extractors of its framework, such as axum's `WebSocketUpgrade`; other functions take an [`Upgrade`] (feature
//! `tokio`).
//!
//! # State
//!
//! Keep what is expensive to make in a [`OnceLock`](std::sync::OnceLock) static. It lives across calls and evictions:
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
//! An idle function is evicted, and loaded again at its next call. Its library stays mapped, so statics keep their values.
//! A value may have become unusable meanwhile, such as a connection that the peer has closed. A deploy of new code or
//! settings begins with new statics, and so does a restart; only [`data_dir`] is kept.
//!
//! # Environment
//!
//! On Linux with glibc, the library's environment is its own: `std::env` has the function's variables in it, and nobody
//! else's. [`variable`] reads them everywhere.
//!
//! # Logs, panics, tests
//!
//! Events of `tracing` and records of `log` go to the host's log with the id of their request, unless the function installs a
//! subscriber or a logger of its own. A panic becomes a 500 and
//! affects no other call; with `panic = "abort"` a function does not compile. The feature `testing` calls functions
//! in-process and on the real host.
//!
//! # Features
//!
//! | feature | default | gives |
//! | --- | --- | --- |
//! | `log`, `tracing` | yes | records and events of these crates in the host's log |
//! | `tokio` | no | the library's own runtime, and [`Upgrade`] |
//! | `axum` | no | `tokio`, axum's bodies in responses, and upgrades in routers |
//! | `testing` | no | `fezz_sdk::testing` |

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
mod service;
mod sse;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "tokio")]
mod upgrade;

pub use body::{Body, BoxError};
pub use body_stream::{BodyStream, BodyStreamError};
pub use bytes::Bytes;
pub use error::{FezzError, FieldError};
pub use extract::{Context, FromRequest, Json, Path, Query};
pub use fezz_abi as abi;
pub use fezz_macro::fezz_function;
pub use handler::Function;
pub use hooks::{InitOutcome, IntoInitOutcome, SetUpError};
pub use host::{Host, Level, assets, data_dir, host, log, variable};
pub use http;
pub use logs::log_to_host;
pub use request::{BodyError, FezzHttpRequest};
pub use respond::{IntoFezzResponse, IntoFezzResponseParts};
pub use response::FezzHttpResponse;
#[cfg(feature = "tokio")]
pub use runtime::runtime;
pub use sse::{Event, Sse};
#[cfg(feature = "tokio")]
pub use upgrade::{Upgrade, UpgradedConnection};
