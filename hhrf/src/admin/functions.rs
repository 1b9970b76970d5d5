//! `/functions`: every folder, what serves from it, and what went wrong there last.

use std::time::SystemTime;

use fezz_isolation::host::{Crash as WorkerCrash, WorkerStatus};
use fezz_isolation::sandbox::Profile;
use fezz_manifest::{Methods, Version};
use serde::Serialize;

use crate::catalog::{Deployment, Registry};
use crate::load::Cache;

/// All functions, and the aliases and mounts that are in force.
#[derive(Debug, Serialize)]
pub(super) struct List {
    functions: Vec<Function>,
    aliases: Vec<Alias>,
    /// Why `aliases.json` as it is now is not in force.
    aliases_error: Option<String>,
    mounts: Vec<Mount>,
    /// Why `mounts.json` as it is now is not in force.
    mounts_error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Function {
    id: String,
    version: String,
    digest: Option<String>,
    /// The files beside its library.
    assets: Option<Assets>,
    state: State,
    /// Whether its library is loaded, or waits for a call.
    library: Library,
    routes: Vec<Route>,
    in_flight: i64,
    /// Calls that wait for others to end.
    queued: i64,
    /// Upgraded connections that are open.
    upgrades: i64,
    calls: u64,
    errors: u64,
    panics: u64,
    timeouts: u64,
    /// Calls that timed out, or whose clients left, and that are still running.
    abandoned: usize,
    cold_starts: u64,
    /// Why it is not called, if it is not: it has crashed the host too often.
    quarantined: Option<String>,
    /// Its worker processes; null where it runs in the host's own.
    isolation: Option<Isolation>,
    deploys: u64,
    last_deploy: Option<String>,
    last_error: Option<LastError>,
    /// Why changes in its folder are not noticed at once, if they are not.
    unwatched: Option<String>,
}

#[derive(Debug, Serialize)]
struct Assets {
    digest: String,
    files: usize,
    bytes: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// The folder as it is now.
    Serving,
    /// The last good state of the folder; `last_error` says why not the present one.
    ServingPrevious,
    /// Nothing: it has never been good, or it cannot be loaded at present.
    Failed,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Library {
    Loaded,
    Idle,
}

#[derive(Debug, Serialize)]
struct Route {
    path: String,
    methods: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Isolation {
    sandbox: Profile,
    workers: Vec<Worker>,
    /// Calls that wait for a worker.
    waiting: usize,
    /// Whether calls are refused for a while, after too many crashes.
    resting: bool,
    /// What really holds for its workers, and what this system cannot give; empty before the first one.
    enforced: Vec<String>,
    missing: Vec<String>,
    crashes: u64,
    last_crashes: Vec<Crash>,
}

#[derive(Debug, Serialize)]
struct Worker {
    pid: u32,
    calls: u64,
    seconds: u64,
}

#[derive(Debug, Serialize)]
struct Crash {
    at: String,
    what: String,
    request_ids: Vec<String>,
    stderr: Vec<String>,
}

#[derive(Debug, Serialize)]
struct LastError {
    at: String,
    message: String,
}

#[derive(Debug, Serialize)]
struct Alias {
    id: String,
    alias: String,
    shares: Vec<Share>,
}

#[derive(Debug, Serialize)]
struct Share {
    version: String,
    weight: u32,
}

#[derive(Debug, Serialize)]
struct Mount {
    place: String,
    function: String,
    /// The functions that get its calls now; none where they were undeployed.
    leads_to: Vec<String>,
}

/// Gathers them.
pub(super) fn list(registry: &Registry, cache: &Cache) -> List {
    let functions = registry.deployments();
    let (aliases, mounts) = (registry.aliases(), registry.mounts());
    let share =
        |share: &fezz_manifest::Share| Share { version: share.version.to_string(), weight: share.weight };
    List {
        functions: functions.iter().map(|(name, deployment)| function(name, deployment, cache)).collect(),
        aliases: aliases
            .content
            .iter()
            .map(|(id, alias, shares)| Alias {
                id: id.to_owned(),
                alias: alias.to_owned(),
                shares: shares.iter().map(share).collect(),
            })
            .collect(),
        aliases_error: aliases.error,
        mounts: mounts.content.iter().map(|mount| self::mount(mount, registry)).collect(),
        mounts_error: mounts.error,
    }
}

fn mount(mount: &fezz_manifest::Mount, registry: &Registry) -> Mount {
    Mount {
        place: mount.place.to_string(),
        function: mount.function.clone(),
        leads_to: registry.behind(&mount.function),
    }
}

fn function(name: &str, deployment: &Deployment, cache: &Cache) -> Function {
    // Also of a folder whose name is none: it is shown as it is, with its error.
    let (id, version) = name.split_once('@').unwrap_or((name, ""));
    let function = deployment.function.as_deref();
    let stats = deployment.stats();
    let loaded = function.is_some_and(|function| cache.holds(&function.key));
    let unloadable = function.and_then(|function| cache.not_loaded(function)).map(|failure| LastError {
        at: timestamp(failure.at),
        message: format!("it cannot be loaded: {}", failure.reason),
    });
    Function {
        id: id.to_owned(),
        version: function
            .map_or_else(|| version.to_owned(), |function| Version::to_string(&function.version)),
        digest: function.map(|function| function.key.digest.to_string()),
        assets: function.and_then(|function| function.assets.as_ref()).map(|assets| Assets {
            digest: assets.digest.to_string(),
            files: assets.files,
            bytes: assets.bytes,
        }),
        state: match (function, &deployment.last_error) {
            _ if unloadable.is_some() => State::Failed,
            (Some(_), None) => State::Serving,
            (Some(_), Some(_)) => State::ServingPrevious,
            (None, _) => State::Failed,
        },
        library: if loaded { Library::Loaded } else { Library::Idle },
        routes: function.map_or_else(Vec::new, |function| function.routes.routes().map(route).collect()),
        in_flight: stats.in_flight.get(),
        queued: stats.queued.get(),
        upgrades: stats.open_upgrades.get(),
        calls: stats.calls.get(),
        errors: stats.errors.get(),
        panics: stats.panics.get(),
        timeouts: stats.timeouts.get(),
        abandoned: function.map_or(0, |function| function.calls.abandoned()),
        cold_starts: stats.cold_starts.get(),
        quarantined: function.and_then(|function| function.quarantined.clone()),
        isolation: function.and_then(|function| isolation(function, cache)),
        deploys: deployment.deploys,
        last_deploy: deployment.deployed_at.map(timestamp),
        last_error: unloadable.or_else(|| {
            let error = deployment.last_error.as_ref()?;
            Some(LastError { at: timestamp(error.at), message: error.message.clone() })
        }),
        unwatched: deployment.unwatched.clone(),
    }
}

fn isolation(function: &crate::function::Function, cache: &Cache) -> Option<Isolation> {
    let plan = function.isolation.as_ref()?;
    let status = cache.workers(&function.key).unwrap_or_default();
    let worker =
        |worker: WorkerStatus| Worker { pid: worker.pid, calls: worker.calls, seconds: worker.seconds };
    let crash = |crash: WorkerCrash| Crash {
        at: timestamp(crash.at),
        what: crash.what,
        request_ids: crash.requests,
        stderr: crash.last_lines,
    };
    Some(Isolation {
        sandbox: plan.profile,
        workers: status.workers.into_iter().map(worker).collect(),
        waiting: status.waiting,
        resting: status.circuit_open,
        enforced: status.enforced,
        missing: status.missing,
        crashes: function.stats.crashes.get(),
        last_crashes: status.crashes.into_iter().map(crash).collect(),
    })
}

fn route((path, methods): (&str, &Methods)) -> Route {
    let methods = match methods {
        Methods::Any => vec!["ANY".to_owned()],
        Methods::Only(methods) => methods.iter().map(ToString::to_string).collect(),
    };
    Route { path: path.to_owned(), methods }
}

/// RFC 3339, in UTC.
fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}
