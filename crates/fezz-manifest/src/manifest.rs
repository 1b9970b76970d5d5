//! [`Manifest`]: the content of a `fezz.json`. The JSON Schema is derived from these types, so their documentation is
//! what editors show to authors.

use std::collections::BTreeMap;

use schemars::JsonSchema;

use crate::check::{self, MAX_BODY_BYTES, MAX_CONCURRENCY, MAX_ROUTES, MAX_TIMEOUT_MS};
use crate::entry;
use crate::isolation::{
    Isolation, MAX_MEMORY_BYTES, MAX_PORTS, MAX_WORKER_CONCURRENCY, MIN_MEMORY_BYTES, Sandbox, Workers,
};
use crate::json;
use crate::method::Methods;
use crate::path;
use crate::problem::{At, Problem, Problems};
use crate::schema;
use crate::variables::{self, MAX_SECRETS};
use crate::version::Version;

/// What a function's folder says about itself: its identity, its library, its routes and its limits.
#[derive(Debug, Clone, PartialEq, Eq, JsonSchema)]
#[schemars(title = "fezz.json", deny_unknown_fields, transform = schema::finish)]
pub struct Manifest {
    /// The name of the function: a small letter or digit, then up to 62 of `a-z`, `0-9`, `_` and `-`. With
    /// the version it names the folder and the URL, `id@version`.
    #[schemars(regex(pattern = check::ID_PATTERN), example = &"todos")]
    pub id: String,

    /// `latest`, or a semver version without build metadata.
    pub version: Version,

    /// The library: the name of a file in this folder (`libtodos.so`), or a bare library name (`todos`) that
    /// becomes the platform's own file name.
    #[schemars(regex(pattern = entry::PATTERN), example = &"todos", example = &"libtodos.so")]
    pub entry: String,

    /// The SHA-256 of the library, as 64 small hex digits. A library that has another one is refused: it was damaged
    /// on its way, or is not the one that this file is about.
    #[schemars(regex(pattern = check::SHA256_PATTERN))]
    pub sha256: Option<String>,

    /// What the function answers to, at least one route. Nothing else reaches it.
    #[schemars(length(min = 1, max = MAX_ROUTES))]
    pub routes: Vec<Route>,

    /// What the function is for, in the words of its author.
    pub description: Option<String>,

    /// Settings for the function, which reads them through the SDK; the process environment is not touched.
    /// Every value is a string.
    #[schemars(default, extend(
        "propertyNames" = { "pattern": variables::NAME_PATTERN },
        "additionalProperties" = { "type": "string", "pattern": variables::VALUE_PATTERN }
    ))]
    pub env: BTreeMap<String, String>,

    /// The names of the secrets that the function needs. The host takes their values from its secrets, and the
    /// function reads them as it reads `env`; a name cannot be in both.
    #[schemars(
        default,
        length(max = MAX_SECRETS),
        inner(regex(pattern = variables::NAME_PATTERN)),
        extend("uniqueItems" = true)
    )]
    pub secrets: Vec<String>,

    /// The time that one call may take, in milliseconds. Without it, the host's setting holds.
    #[schemars(range(min = 1, max = MAX_TIMEOUT_MS))]
    pub timeout_ms: Option<u64>,

    /// The largest request body that the function takes, in bytes. Without it, the host's setting holds.
    #[schemars(range(min = 0, max = MAX_BODY_BYTES))]
    pub max_body_bytes: Option<u64>,

    /// How many calls of the function may run at the same time. Without it, the host's setting holds.
    #[schemars(range(min = 1, max = MAX_CONCURRENCY))]
    pub max_concurrency: Option<u32>,

    /// Where the function runs: `none`, in the host's own process, or `process`, in worker processes of its own.
    /// Without it, the host's setting holds.
    pub isolation: Option<Isolation>,

    /// How many worker processes an isolated function has. What is not given, the host's settings say.
    #[schemars(default)]
    pub workers: Workers,

    /// How many calls one worker process runs at the same time, each on a thread of its own; 1 where it is not
    /// given. A crash costs all calls of its worker.
    #[schemars(range(min = 1, max = MAX_WORKER_CONCURRENCY))]
    pub worker_concurrency: Option<u32>,

    /// The memory that one worker process may take, in bytes. Without it, the host's setting holds.
    #[schemars(range(min = MIN_MEMORY_BYTES, max = MAX_MEMORY_BYTES))]
    pub memory_max_bytes: Option<u64>,

    /// What a worker process may do: `strict`, `net` or `off`. Without it, the host's setting holds.
    pub sandbox: Option<Sandbox>,

    /// The TCP ports that a worker process with the sandbox `net` may connect to.
    #[schemars(default, length(max = MAX_PORTS), inner(range(min = 1, max = 65535)), extend("uniqueItems" = true))]
    pub ports: Vec<u16>,
}

/// One path and the methods that are answered there.
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

    /// One method, a list of methods, or `ANY`. GET answers HEAD too, and OPTIONS is answered by the host
    /// unless a route takes it.
    #[schemars(rename = "method")]
    pub methods: Methods,
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
