//! The keys of isolation: whether a function runs in worker processes, and the sandbox of those.

use schemars::JsonSchema;

use crate::fields::{Fields, Key, string, whole};
use crate::json::Json;
use crate::problem::{At, Problem};
use crate::suggest::nearest;

/// The largest `workers.max`, `workers.min` and `workers.spare`.
pub const MAX_WORKERS: u32 = 1024;
/// The largest `worker_concurrency`.
pub const MAX_WORKER_CONCURRENCY: u32 = 128;
/// The smallest `memory_max_bytes`: 16 MiB, the minimum with which most libraries start.
pub const MIN_MEMORY_BYTES: u64 = 16 << 20;
/// The largest `memory_max_bytes`: 1 TiB.
pub const MAX_MEMORY_BYTES: u64 = 1 << 40;
/// The most `ports`.
pub const MAX_PORTS: usize = 64;

/// Where a function runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "lowercase", inline)]
pub enum Isolation {
    /// In the host's process: fastest, for code that is trusted not to crash.
    None,
    /// In worker processes: a crash fails only the calls of its worker.
    Process,
}

/// The sandbox of a worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(rename_all = "lowercase", inline)]
pub enum Sandbox {
    /// No network, no child processes, no files except those that libraries need and the data directory.
    Strict,
    /// As `strict`, plus connections to the TCP ports in `ports`.
    Net,
    /// No sandbox: the permissions of the host.
    Off,
}

/// The number of worker processes of a function.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Workers {
    /// The minimum number of workers, kept without calls too.
    #[schemars(range(min = 0, max = MAX_WORKERS))]
    pub min: Option<u32>,
    /// The maximum number of workers.
    #[schemars(range(min = 1, max = MAX_WORKERS))]
    pub max: Option<u32>,
    /// The number of idle workers kept ready while there are calls.
    #[schemars(range(min = 0, max = MAX_WORKERS))]
    pub spare: Option<u32>,
}

/// The keys of `workers`.
const WORKERS_KEYS: [Key; 3] = [Key::optional("min"), Key::optional("max"), Key::optional("spare")];

/// Checks `isolation`.
pub(crate) fn isolation(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Isolation> {
    one_of(json, at, &[("none", Isolation::None), ("process", Isolation::Process)], problems)
}

/// Checks `sandbox`.
pub(crate) fn sandbox(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Sandbox> {
    let words = [("strict", Sandbox::Strict), ("net", Sandbox::Net), ("off", Sandbox::Off)];
    one_of(json, at, &words, problems)
}

/// Checks `workers`.
pub(crate) fn workers(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Option<Workers> {
    let fields = Fields::open(json, at, &WORKERS_KEYS, problems)?;
    let mut number = |key, low: u64| {
        let (at, json) = fields.get(key)?;
        whole(json, &at, low..=MAX_WORKERS.into(), problems).and_then(|number| u32::try_from(number).ok())
    };
    let workers = Workers { min: number("min", 0), max: number("max", 1), spare: number("spare", 0) };
    if let (Some(min), Some(max)) = (workers.min, workers.max)
        && min > max
    {
        problems.push(at.key("min").problem(format!("is {min}, which is more than max, {max}; lower it")));
    }
    Some(workers)
}

/// Checks `ports`.
pub(crate) fn ports(json: &Json, at: &At, problems: &mut Vec<Problem>) -> Vec<u16> {
    let Json::Array(items) = json else {
        problems.push(at.problem(format!("must be a list of ports, not {}; write [5432]", json.kind())));
        return Vec::new();
    };
    if items.len() > MAX_PORTS {
        problems.push(at.problem(format!("has {} ports; at most {MAX_PORTS} are allowed", items.len())));
        return Vec::new();
    }
    let mut ports = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let at = at.index(index);
        let port = whole(item, &at, 1..=65_535, problems).and_then(|number| u16::try_from(number).ok());
        match port {
            Some(port) if ports.contains(&port) => {
                problems.push(at.problem(format!("{port} is in the list already; keep one of them")));
            }
            Some(port) => ports.push(port),
            None => {}
        }
    }
    ports
}

/// Checks that there are ports with the sandbox `net`, and with it alone.
pub(crate) fn check_ports_match(sandbox: Option<Sandbox>, ports: &[u16], problems: &mut Vec<Problem>) {
    let at = At::root().key("ports");
    match sandbox {
        Some(Sandbox::Net) if ports.is_empty() => {
            problems
                .push(at.problem("missing; \"sandbox\": \"net\" needs the ports that may be connected to"));
        }
        Some(Sandbox::Net) => {}
        _ if ports.is_empty() => {}
        _ => problems.push(at.problem("have no effect; write \"sandbox\": \"net\", or remove them")),
    }
}

pub(crate) fn one_of<T: Copy>(
    json: &Json,
    at: &At,
    words: &[(&'static str, T)],
    problems: &mut Vec<Problem>,
) -> Option<T> {
    let text = string(json, at, problems)?;
    if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
        return Some(*value);
    }
    let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
    let hint = nearest(text, &names).map_or_else(String::new, |word| format!("; did you mean \"{word}\"?"));
    problems.push(at.problem(format!("must be one of {}, not {text:?}{hint}", names.join(", "))));
    None
}
