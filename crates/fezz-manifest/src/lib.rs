//! The configuration files of functions: [`fezz.json`](Manifest), the manifest with its routes;
//! [`aliases.json`](Aliases), the traffic split between versions; [`mounts.json`](Mounts), host names and path prefixes of
//! functions; and [`.env`](parse_env_file), variables.
//!
//! A `fezz.json` goes through three steps, each with its own module:
//!
//! 1. `json` parses the bytes; only syntax errors are reported here.
//! 2. `check` validates the result, and returns a [`Manifest`] or **all** problems at once, each with its JSON path
//!    (`$.routes[1].method`) and what to do about it. `version`, `entry`, `method` and `path` have the rules of one kind
//!    of value each, `variables` those of `env` and `secrets`.
//! 3. [`RouteTable`] is built from the routes, and finds the route of a request.
//!
//! `aliases` and `mounts` validate the output of `json` in the same way; `env_file` has its own parser. The crate does no I/O and
//! loads no library.
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

mod aliases;
mod builder;
mod check;
mod cors;
mod entry;
mod env_file;
mod fields;
mod found;
mod isolation;
mod json;
mod manifest;
mod method;
mod mounts;
mod path;
mod problem;
mod schema;
mod suggest;
mod swap;
mod table;
mod variables;
mod version;

pub use aliases::{Aliases, MAX_WEIGHT, Share};
pub use check::{
    MAX_BODY_BYTES, MAX_CONCURRENCY, MAX_FILE_BYTES, MAX_QUEUE, MAX_RESPONSE_BYTES, MAX_ROUTES,
    MAX_TIMEOUT_MS, MAX_UPGRADE_IDLE_MS, MAX_UPGRADES,
};
pub use cors::{Cors, CorsOrigins, MAX_CORS_AGE, MAX_CORS_ITEMS};
pub use env_file::{MAX_ENV_FILE_BYTES, parse_env_file};
pub use found::{Found, Match, Params, ParamsIter};
pub use isolation::{
    Isolation, MAX_MEMORY_BYTES, MAX_PORTS, MAX_WORKER_CONCURRENCY, MAX_WORKERS, MIN_MEMORY_BYTES, Sandbox,
    Workers,
};
pub use manifest::{Manifest, Route};
pub use method::Methods;
pub use mounts::{Mount, MountHost, MountMatch, MountTable, Mounts, Place};
pub use problem::{Problem, Problems};
pub use schema::{aliases_json_schema, json_schema, mounts_json_schema};
pub use swap::Swap;
pub use table::RouteTable;
pub use variables::MAX_SECRETS;
pub use version::{Version, VersionError};
