//! `fezz.json`: what a function's folder says about itself, and the routes that follow from it.
//!
//! A file goes through three steps, each with its own module:
//!
//! 1. `json` reads the bytes without judgement; only what is not JSON at all is refused here.
//! 2. `check` judges the result into a [`Manifest`] and reports **every** problem at once, each with its JSON
//!    path (`$.routes[1].method`) and what to do about it. `version`, `entry`, `method` and `path` hold the
//!    rules for one kind of value each.
//! 3. [`RouteTable`] turns the routes into something that answers a request without allocating.
//!
//! Nothing here does I/O, knows HTTP statuses or loads a library.
//!
//! ```
//! use fezz_manifest::{Found, Manifest, RouteTable};
//!
//! let manifest = Manifest::parse(br#"{
//!     "id": "todos", "version": "latest", "entry": "example_todosapi",
//!     "routes": [{ "path": "/todos/{id}", "method": "GET" }]
//! }"#)?;
//! let table = RouteTable::new(&manifest.routes)?;
//!
//! let Found::Route(found) = table.find("/todos/a%20b", &http::Method::GET) else { panic!("no route") };
//! assert_eq!(found.pattern, "/todos/{id}");
//! assert_eq!(found.params.get("id").as_deref(), Some("a b"));
//! # Ok::<(), fezz_manifest::Problems>(())
//! ```

mod builder;
mod check;
mod entry;
mod fields;
mod found;
mod json;
mod manifest;
mod method;
mod path;
mod problem;
mod schema;
mod suggest;
mod table;
mod version;

pub use check::{MAX_BODY_BYTES, MAX_CONCURRENCY, MAX_FILE_BYTES, MAX_ROUTES, MAX_TIMEOUT_MS};
pub use found::{Found, Match, Params, ParamsIter};
pub use manifest::{Manifest, Route};
pub use method::Methods;
pub use problem::{Problem, Problems};
pub use schema::json_schema;
pub use table::RouteTable;
pub use version::{Version, VersionError};
