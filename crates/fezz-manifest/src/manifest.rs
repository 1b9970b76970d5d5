//! [`Manifest`]: the content of a `fezz.json`. The JSON Schema is derived from these types, so their documentation is
//! what editors show to authors.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::check::{
    self, MAX_BODY_BYTES, MAX_CONCURRENCY, MAX_QUEUE, MAX_RESPONSE_BYTES, MAX_ROUTES, MAX_TIMEOUT_MS,
    MAX_UPGRADE_IDLE_MS, MAX_UPGRADES,
};
use crate::cors::Cors;
use crate::entry;
use crate::isolation::{
    Isolation, MAX_MEMORY_BYTES, MAX_PORTS, MAX_WORKER_CONCURRENCY, MIN_MEMORY_BYTES, Sandbox, Workers,
};
use crate::json;
use crate::method::Methods;
use crate::path;
use crate::problem::{At, Problem, Problems};
use crate::schema;
use crate::swap::Swap;
use crate::variables::{self, MAX_SECRETS};
use crate::version::Version;

/// The manifest of a function: its identity, library, routes, settings and limits.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(title = "fezz.json", deny_unknown_fields, transform = schema::finish)]
pub struct Manifest {
    /// The name of the function: a lower-case letter or digit, then up to 62 of `a-z`, `0-9`, `_` and `-`. With
    /// the version it is the name of the folder and part of the URL, `id@version`.
    #[schemars(regex(pattern = check::ID_PATTERN), example = &"todos")]
    pub id: String,

    /// `latest`, or a semver version without build metadata.
    pub version: Version,

    /// The library: the name of a file in this folder (`libtodos.so`), or a bare library name (`todos`), which is
    /// expanded to the platform's file name.
    #[schemars(regex(pattern = entry::PATTERN), example = &"todos", example = &"libtodos.so")]
    pub entry: String,

    /// The SHA-256 of the library, as 64 lower-case hex digits. A library with another digest is refused.
    #[schemars(regex(pattern = check::SHA256_PATTERN))]
    pub sha256: Option<String>,

    /// The routes of the function, at least one. Other requests are answered by the host.
    #[schemars(length(min = 1, max = MAX_ROUTES))]
    pub routes: Vec<Route>,

    /// A description for people.
    pub description: Option<String>,

    /// Variables of the function, which reads them through the SDK; the process environment is not changed.
    /// Every value is a string.
    #[schemars(default, extend(
        "propertyNames" = { "pattern": variables::NAME_PATTERN },
        "additionalProperties" = { "type": "string", "pattern": variables::VALUE_PATTERN }
    ))]
    pub env: BTreeMap<String, String>,

    /// The names of the secrets that the function needs. The host has their values, and the function reads them like
    /// `env`; a name cannot be in both.
    #[schemars(
        default,
        length(max = MAX_SECRETS),
        inner(regex(pattern = variables::NAME_PATTERN)),
        extend("uniqueItems" = true)
    )]
    pub secrets: Vec<String>,

    /// The timeout of a call, in milliseconds. Default: the host's setting.
    #[schemars(range(min = 1, max = MAX_TIMEOUT_MS))]
    pub timeout_ms: Option<u64>,

    /// The largest accepted request body, in bytes. Default: the host's setting.
    #[schemars(range(min = 0, max = MAX_BODY_BYTES))]
    pub max_body_bytes: Option<u64>,

    /// The maximum number of concurrent calls. Default: the host's setting.
    #[schemars(range(min = 1, max = MAX_CONCURRENCY))]
    pub max_concurrency: Option<u32>,

    /// How a new build takes the place of the one before it: `start-first`, or `stop-first` for a function that cannot be
    /// up twice, such as one that locks a database. Default: `start-first`.
    #[schemars(default)]
    pub swap: Swap,

    /// The maximum number of calls that wait until one of `max_concurrency` ends; further ones are refused with 503.
    /// Default: the host's setting, or eight times `max_concurrency`.
    #[schemars(range(min = 0, max = MAX_QUEUE))]
    pub max_queue: Option<u32>,

    /// How long a call waits there, in milliseconds, before it is refused with 503. Default: the host's setting.
    #[schemars(range(min = 0, max = MAX_TIMEOUT_MS))]
    pub queue_ms: Option<u64>,

    /// The largest response that comes in one piece, in bytes; streams have no limit. Default: the host's setting.
    #[schemars(range(min = 0, max = MAX_RESPONSE_BYTES))]
    pub max_response_bytes: Option<u64>,

    /// The maximum number of open upgraded connections, such as WebSockets; further ones are refused with 503. Default:
    /// the host's setting.
    #[schemars(range(min = 0, max = MAX_UPGRADES))]
    pub max_upgrades: Option<u32>,

    /// How long nothing may pass over an upgraded connection, in milliseconds, before it is closed; 0 for any time.
    /// Default: the host's setting.
    #[schemars(range(min = 0, max = MAX_UPGRADE_IDLE_MS))]
    pub upgrade_idle_ms: Option<u64>,

    /// Where the function runs: `none`, in the host's process, or `process`, in its own worker processes. Default: the
    /// host's setting.
    pub isolation: Option<Isolation>,

    /// The number of worker processes of an isolated function. Defaults: the host's settings.
    #[schemars(default)]
    pub workers: Workers,

    /// The maximum number of concurrent calls of a worker process, each on its own thread. Default: 1. A crash fails all
    /// calls of its worker.
    #[schemars(range(min = 1, max = MAX_WORKER_CONCURRENCY))]
    pub worker_concurrency: Option<u32>,

    /// The memory limit of a worker process, in bytes. Default: the host's setting.
    #[schemars(range(min = MIN_MEMORY_BYTES, max = MAX_MEMORY_BYTES))]
    pub memory_max_bytes: Option<u64>,

    /// The sandbox of the worker processes: `strict`, `net` or `off`. Default: the host's setting.
    pub sandbox: Option<Sandbox>,

    /// The TCP ports that a worker process with the sandbox `net` may connect to.
    #[schemars(default, length(max = MAX_PORTS), inner(range(min = 1, max = 65535)), extend("uniqueItems" = true))]
    pub ports: Vec<u16>,

    /// The pages of other origins that may call the function: a list of origins, or an object. The host answers their
    /// preflights, and adds the headers to its own answers and to those of the function that have none.
    pub cors: Option<Cors>,
}

/// A path and its methods.
#[derive(Debug, Clone, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Route {
    /// The path below the function's own, in axum 0.8's syntax: `/todos/{id}` captures a segment,
    /// `/files/{*rest}` the remainder; a literal brace is doubled.
    #[schemars(
        length(min = 1, max = path::MAX_LENGTH),
        regex(pattern = path::PATTERN),
        example = &"/hello",
        example = &"/todos/{id}",
        example = &"/files/{*rest}"
    )]
    pub path: String,

    /// A method, a list of methods, or `ANY`. GET includes HEAD, and OPTIONS is answered by the host unless a route has
    /// it.
    #[schemars(rename = "method")]
    pub methods: Methods,

    /// Whether requests of this route may upgrade their connection, to a WebSocket for instance.
    #[schemars(default)]
    pub upgrade: bool,
}

impl Manifest {
    /// Parses a `fezz.json`; the error holds all of its problems.
    ///
    /// ```
    /// # use fezz_manifest::Manifest;
    /// let problems = Manifest::parse(br#"{ "id": "Todos", "version": "1.0", "entry": "todos", "routs": []
    /// }"#)
    ///     .unwrap_err();
    /// let paths: Vec<_> = problems.iter().map(|problem| problem.path.as_str()).collect();
    /// assert_eq!(paths, ["$.routs", "$.routes", "$.id", "$.version"]);
    /// ```
    pub fn parse(json: &[u8]) -> Result<Self, Problems> {
        check::manifest(&json::read(json, "a JSON object with id, version, entry and routes")?)
    }

    /// The library's file name in the folder; a bare [`entry`](Self::entry) becomes the platform's file name.
    pub fn library_file_name(&self) -> String {
        entry::file_name(&self.entry)
    }

    /// The problems with the name of the manifest's folder, which must be `id@version`.
    pub fn check_folder(&self, folder: &str) -> Vec<Problem> {
        let at = At::root();
        let expected = format!("{}@{}", self.id, self.version);
        if folder == expected {
            return Vec::new();
        }
        let Some((id, version)) = folder.split_once('@') else {
            return vec![at.problem(format!("the folder is named `{folder}`; rename it to `{expected}`"))];
        };
        let differ = |key: &str, own: &str, folders: &str| {
            let message = format!(
                "is `{own}`, but the folder `{folder}` says `{folders}`; \
                 rename the folder to `{expected}` or correct the {key}"
            );
            (own != folders).then(|| at.key(key).problem(message))
        };
        let version = differ("version", &self.version.to_string(), version);
        differ("id", &self.id, id).into_iter().chain(version).collect()
    }
}
