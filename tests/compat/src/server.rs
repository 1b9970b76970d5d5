//! The servers that are compared: `axum::serve` in this process, and the host.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fezz_compat_apps::{App, Setup};
use fezz_testkit::{Host, Running};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::runtime::Handle;

/// Where an application is reached.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) address: SocketAddr,
    /// The name in the `host` header: the same for all servers, so that what is made of it is the same.
    pub(crate) host: String,
}

/// How the host runs the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    InProcess,
    Isolated,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::InProcess, Self::Isolated];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::InProcess => "in process",
            Self::Isolated => "isolated",
        }
    }

    fn setting(self) -> &'static str {
        match self {
            Self::InProcess => "none",
            Self::Isolated => "process",
        }
    }
}

/// Serves an application on a listener of its own, as its author would.
pub(crate) fn serve(runtime: &Handle, app: &App, folder: &Path) -> io::Result<Place> {
    let folder = folder.join(app.name);
    fezz_compat_apps::prepare(&folder)?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    // The router is made inside the runtime, as in an async main.
    let router = runtime.block_on(async { (app.router)(&Setup { folder }) });
    runtime.spawn(async move {
        let _ = axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await;
    });
    Ok(Place { address, host: host_name(app) })
}

/// Starts the host with these applications in one function, each on a host name of its own; or with a single one, on all
/// host names.
pub(crate) fn start_host(mode: Mode, apps: &[&App], alone: bool, library: &Path) -> io::Result<Running> {
    let host = Host::new()
        .env("HHRF_PROBE_TIMEOUT_MS", "60000")
        .env("HHRF_WORKER_START_MS", "60000")
        .env("HHRF_MAX_BODY_BYTES", "33554432");
    let function = "compat@latest";
    let name = |app: &&App| if alone { "/".to_owned() } else { host_name(app) };
    let mounts: BTreeMap<_, _> = apps.iter().map(|app| (name(app), function)).collect();
    std::fs::write(host.functions().join("mounts.json"), serde_json::to_string(&mounts)?)?;
    for app in apps {
        fezz_compat_apps::prepare(&host.root().join(".fezz/data/compat").join(app.name))?;
    }
    let env = if alone { json!({ "APP": apps[0].name }) } else { json!({}) };
    let routes = ["/", "/{*path}"].map(|path| json!({ "path": path, "method": "ANY", "upgrade": true }));
    let manifest = json!({
        "id": "compat",
        "version": "latest",
        "routes": routes,
        "isolation": mode.setting(),
        // State is one worker's own.
        "workers": { "min": 0, "max": 1 },
        "worker_concurrency": 16,
        "env": env,
    });
    Ok(host.deploy(function, library, manifest).start())
}

/// Where that host serves this application.
pub(crate) fn place(host: &Running, app: &App) -> Place {
    Place { address: host.address(), host: host_name(app) }
}

/// The library with all applications.
pub(crate) fn library() -> PathBuf {
    fezz_testkit::library("fezz-compat-function")
}

fn host_name(app: &App) -> String {
    format!("{}.compat.example", app.name)
}
