//! Validation of `fezz.json`: raw JSON to a [`Manifest`], or to all of its problems.

use std::ops::RangeInclusive;

use crate::fields::{Fields, Key, boolean, string, whole};
use crate::isolation::{self, MAX_MEMORY_BYTES, MAX_WORKER_CONCURRENCY, MIN_MEMORY_BYTES};
use crate::json::Json;
use crate::manifest::{Manifest, Route};
use crate::problem::{At, Problem, Problems};
use crate::version::Version;
use crate::{builder, cors, entry, method, path, swap, variables};

/// The largest accepted `fezz.json`, `aliases.json` or `mounts.json`, in bytes.
pub const MAX_FILE_BYTES: usize = 256 * 1024;
/// The largest `timeout_ms`: one hour.
pub const MAX_TIMEOUT_MS: u64 = 3_600_000;
/// The largest `max_body_bytes`: 4 GiB.
pub const MAX_BODY_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// The largest `max_concurrency`.
pub const MAX_CONCURRENCY: u32 = 65_536;
/// The largest `max_queue`.
pub const MAX_QUEUE: u32 = 1_048_576;
/// The largest `max_response_bytes`: 4 GiB.
pub const MAX_RESPONSE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// The largest `upgrade_idle_ms`: one day.
pub const MAX_UPGRADE_IDLE_MS: u64 = 24 * 3_600_000;
/// The largest `max_upgrades`.
pub const MAX_UPGRADES: u32 = 1_048_576;
/// The most routes that a function can have; each is a label in the metrics.
pub const MAX_ROUTES: usize = 1024;

pub(crate) const ID_PATTERN: &str = "^[a-z0-9][a-z0-9_-]{0,62}$";
pub(crate) const ID_RULE: &str = "use 1 to 63 of `a-z`, `0-9`, `_` and `-`, with a letter or digit first";

pub(crate) const SHA256_PATTERN: &str = "^[0-9a-f]{64}$";

/// The keys of the file, in the order of the documentation.
pub(crate) const KEYS: [Key; 25] = [
    Key::optional("$schema"),
    Key::required("id", r#""todos""#),
    Key::required("version", r#""latest""#),
    Key::required("entry", r#""todos""#),
    Key::optional("sha256"),
    Key::required("routes", r#"[{"path": "/hello", "method": "GET"}]"#),
    Key::optional("description"),
    Key::optional("env"),
    Key::optional("secrets"),
    Key::optional("timeout_ms"),
    Key::optional("max_body_bytes"),
    Key::optional("max_concurrency"),
    Key::optional("swap"),
    Key::optional("max_queue"),
    Key::optional("queue_ms"),
    Key::optional("max_response_bytes"),
    Key::optional("max_upgrades"),
    Key::optional("upgrade_idle_ms"),
    Key::optional("isolation"),
    Key::optional("workers"),
    Key::optional("worker_concurrency"),
    Key::optional("memory_max_bytes"),
    Key::optional("sandbox"),
    Key::optional("ports"),
    Key::optional("cors"),
];

/// The keys of a route.
pub(crate) const ROUTE_KEYS: [Key; 3] =
    [Key::required("path", r#""/hello""#), Key::required("method", r#""GET""#), Key::optional("upgrade")];

/// Validates a whole file.
pub(crate) fn manifest(json: &Json) -> Result<Manifest, Problems> {
    let mut problems = Vec::new();
    let manifest = Fields::open(json, &At::root(), &KEYS, &mut problems)
        .and_then(|fields| Checker { fields, problems: &mut problems }.manifest());
    Problems::check(problems)?;
    // Without a manifest there is a problem, so this error is never returned; it avoids a panic.
    manifest.ok_or_else(|| Problems::from(At::root().problem("is not a manifest")))
}

/// Whether a text can be the id of a function.
pub(crate) fn is_id(text: &str) -> bool {
    let inner = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=63).contains(&text.len()) && text.bytes().all(inner) && !text.starts_with(['_', '-'])
}

struct Checker<'j, 'p> {
    fields: Fields<'j>,
    problems: &'p mut Vec<Problem>,
}

impl<'j> Checker<'j, '_> {
    /// Checks all keys before it returns, to report all problems.
    fn manifest(mut self) -> Option<Manifest> {
        self.text("$schema");
        let id = self.text("id").and_then(|text| self.id(text));
        let version = self.text("version").and_then(|text| self.version(text));
        let entry = self.text("entry").and_then(|text| self.entry(text));
        let sha256 = self.text("sha256").and_then(|text| self.sha256(text));
        let routes = self.fields.get("routes").and_then(|(at, json)| routes(json, &at, self.problems));
        let description = self.text("description").map(str::to_owned);
        let env = self.fields.get("env").map(|(at, json)| variables::env(json, &at, self.problems));
        let env = env.unwrap_or_default();
        let secrets =
            self.fields.get("secrets").map(|(at, json)| variables::secrets(json, &at, &env, self.problems));
        let timeout_ms = self.number("timeout_ms", 1..=MAX_TIMEOUT_MS);
        let max_body_bytes = self.number("max_body_bytes", 0..=MAX_BODY_BYTES);
        let max_concurrency = self.number("max_concurrency", 1..=MAX_CONCURRENCY.into());
        let swap = self.check_with("swap", swap::swap);
        let max_queue = self.number("max_queue", 0..=MAX_QUEUE.into());
        let queue_ms = self.number("queue_ms", 0..=MAX_TIMEOUT_MS);
        let max_response_bytes = self.number("max_response_bytes", 0..=MAX_RESPONSE_BYTES);
        let max_upgrades = self.number("max_upgrades", 0..=MAX_UPGRADES.into());
        let upgrade_idle_ms = self.number("upgrade_idle_ms", 0..=MAX_UPGRADE_IDLE_MS);
        let isolation = self.check_with("isolation", isolation::isolation);
        let workers = self.check_with("workers", isolation::workers);
        let worker_concurrency = self.number("worker_concurrency", 1..=MAX_WORKER_CONCURRENCY.into());
        let memory_max_bytes = self.number("memory_max_bytes", MIN_MEMORY_BYTES..=MAX_MEMORY_BYTES);
        let sandbox = self.check_with("sandbox", isolation::sandbox);
        let ports = self.fields.get("ports").map(|(at, json)| isolation::ports(json, &at, self.problems));
        let ports = ports.unwrap_or_default();
        isolation::check_ports_match(sandbox, &ports, self.problems);
        let cors = self.check_with("cors", cors::cors);
        Some(Manifest {
            id: id?,
            version: version?,
            entry: entry?,
            sha256,
            routes: routes?,
            description,
            env,
            secrets: secrets.unwrap_or_default(),
            timeout_ms,
            max_body_bytes,
            max_concurrency: max_concurrency.and_then(|number| u32::try_from(number).ok()),
            swap: swap.unwrap_or_default(),
            max_queue: max_queue.and_then(|number| u32::try_from(number).ok()),
            queue_ms,
            max_response_bytes,
            max_upgrades: max_upgrades.and_then(|number| u32::try_from(number).ok()),
            upgrade_idle_ms,
            isolation,
            workers: workers.unwrap_or_default(),
            worker_concurrency: worker_concurrency.and_then(|number| u32::try_from(number).ok()),
            memory_max_bytes,
            sandbox,
            ports,
            cors,
        })
    }

    fn text(&mut self, key: &str) -> Option<&'j str> {
        let (at, json) = self.fields.get(key)?;
        string(json, &at, self.problems)
    }

    fn id(&mut self, text: &str) -> Option<String> {
        if is_id(text) {
            return Some(text.to_owned());
        }
        self.refuse("id", format!("{text:?} is not an id; {ID_RULE}"))
    }

    fn version(&mut self, text: &str) -> Option<Version> {
        text.parse().map_or_else(|error: crate::VersionError| self.refuse("version", error.to_string()), Some)
    }

    fn entry(&mut self, text: &str) -> Option<String> {
        entry::check(text).map_or_else(|message| self.refuse("entry", message), |()| Some(text.to_owned()))
    }

    fn sha256(&mut self, text: &str) -> Option<String> {
        let is_digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        if text.len() == 64 && text.bytes().all(is_digit) {
            return Some(text.to_owned());
        }
        self.refuse("sha256", format!("{text:?} is not a SHA-256; write its 64 hex digits, in small letters"))
    }

    fn number(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let (at, json) = self.fields.get(key)?;
        whole(json, &at, range, self.problems)
    }

    /// The value of a key that has its own check.
    fn check_with<T>(
        &mut self,
        key: &str,
        check: impl FnOnce(&Json, &At, &mut Vec<Problem>) -> Option<T>,
    ) -> Option<T> {
        let (at, json) = self.fields.get(key)?;
        check(json, &at, self.problems)
    }

    /// Records a problem with a key's value.
    fn refuse<T>(&mut self, key: &str, message: String) -> Option<T> {
        self.problems.push(At::root().key(key).problem(message));
        None
    }
}

fn routes(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Vec<Route>> {
    let Json::Array(items) = json else {
        let hint = "write [{\"path\": \"/hello\", \"method\": \"GET\"}]";
        problems.push(at.problem(format!("must be a list of routes, not {}; {hint}", json.kind())));
        return None;
    };
    if let Some(message) = builder::check_count(items.len()) {
        problems.push(at.problem(message));
        return None;
    }
    let routes: Vec<_> =
        items.iter().enumerate().map(|(i, item)| route(item, &At::route(i), problems)).collect();
    let valid = routes.iter().enumerate().filter_map(|(i, route)| Some((i, route.as_ref()?)));
    problems.extend(builder::conflicts(valid));
    routes.into_iter().collect()
}

/// One route on its own; conflicts with others are found by the builder of the table.
fn route(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Route> {
    let fields = Fields::open(json, at, &ROUTE_KEYS, problems)?;
    let path = fields.get("path").and_then(|(at, json)| route_path(json, &at, problems));
    let methods = fields.get("method").and_then(|(at, json)| method::methods(json, &at, problems));
    let upgrade = fields.get("upgrade").map(|(at, json)| boolean(json, &at, problems));
    Some(Route { path: path?, methods: methods?, upgrade: upgrade.unwrap_or(Some(false))? })
}

fn route_path(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<String> {
    let text = string(json, at, problems)?;
    match path::check(text) {
        Ok(_) => Some(text.to_owned()),
        Err(messages) => {
            problems.extend(messages.into_iter().map(|message| at.problem(message)));
            None
        }
    }
}
