//! The host from outside: the real program, real libraries, real sockets.

mod admin;
mod ahead;
mod assets;
mod async_calls;
mod cannot_tell;
mod cgroups;
mod connections;
mod cors;
mod deploy;
mod environment;
mod function_settings;
mod hand_overs;
mod hostile;
mod http;
mod http2;
mod in_process;
mod isolated;
mod isolation;
mod last_good;
mod layout;
mod leaks;
mod lengths;
mod lifecycle;
mod limits;
mod loading;
mod mount_file;
mod mounts;
mod own_loggers;
mod policy;
mod postgres;
mod probes;
mod process_ends;
mod processes;
mod queues;
mod replies;
mod requests;
mod sandbox;
mod sandbox_attempts;
mod sandbox_own;
mod settings;
mod state_folder;
mod streams;
mod supervision;
mod swaps;
mod systemd;
mod trailers;
mod upgrades;
mod versions;
mod watching;
mod workers;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use fezz_testkit::{Host, Running, library};

/// Whether the tests of this module run with every function in a process of its own: [`isolated`] has them again.
const ISOLATED: bool = false;

/// A host without functions, not started.
fn bare() -> Host {
    Host::new()
}

/// All routes of the fixture function, for any method.
const ROUTES: &[(&str, &str)] = &[
    ("ANY", "/ping"),
    ("ANY", "/calls"),
    ("ANY", "/describe"),
    ("ANY", "/describe/{a}/{*rest}"),
    ("POST", "/echo"),
    ("GET", "/sleep/{ms}"),
    ("GET", "/wait-for-cancel"),
    ("GET", "/waiting"),
    ("GET", "/cancelled"),
    ("GET", "/panic"),
    ("GET", "/panic-any"),
    ("GET", "/panic-in-drop"),
    ("GET", "/bad-header"),
    ("GET", "/hop-by-hop"),
    ("GET", "/status/{code}"),
    ("GET", "/stream/{pieces}"),
    ("GET", "/stream-panic"),
    ("GET", "/print"),
    ("GET", "/variable"),
    ("GET", "/thread"),
];

fn fixture() -> PathBuf {
    library("fezz-fixture")
}

/// A host with the fixture as `fix@latest`, not started.
fn host() -> Host {
    with_fixture(bare())
}

fn with_fixture(host: Host) -> Host {
    host.function("fix@latest", &fixture(), ROUTES)
}

/// All routes of the async fixture, for any method.
const ASYNC_ROUTES: &[(&str, &str)] = &[
    ("ANY", "/ping"),
    ("ANY", "/alive"),
    ("ANY", "/waiting"),
    ("ANY", "/sleep/{ms}"),
    ("ANY", "/forever"),
    ("ANY", "/block/{ms}"),
    ("ANY", "/panic"),
    ("ANY", "/panic-in-drop"),
    ("ANY", "/spawn"),
    ("ANY", "/log"),
    ("ANY", "/task-panic"),
    ("ANY", "/clients"),
    ("ANY", "/wakers/{what}"),
    ("ANY", "/stream/{pieces}"),
    ("ANY", "/stream-slow"),
    ("ANY", "/stream-error"),
    ("ANY", "/stream-panic"),
    ("ANY", "/stream-forever"),
    ("ANY", "/sse"),
    ("ANY", "/upload"),
    ("ANY", "/upload-late/{ms}"),
    ("ANY", "/upload-unread"),
    ("ANY", "/echo"),
];

/// A host with the async fixture as `async@1.0.0` and the other one as `fix@latest`, not started.
fn async_host(more: serde_json::Value) -> Host {
    with_async(host(), more)
}

fn with_async(host: Host, more: serde_json::Value) -> Host {
    host.function_with("async@1.0.0", &library("fezz-fixture-async"), ASYNC_ROUTES, more)
}

/// A host with the axum application `fezz-fixture-wire` as `wire@1.0.0`, not started.
fn wire_host() -> Host {
    with_wire(bare())
}

fn with_wire(host: Host) -> Host {
    let routes = &[("ANY", "/"), ("ANY", "/{*path}")];
    let more = serde_json::json!({ "max_body_bytes": 8 << 20 });
    host.function_with("wire@1.0.0", &library("fezz-fixture-wire"), routes, more)
}

/// Asks again until it is so; a request is the event that is waited for.
#[track_caller]
fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "it did not become so");
        thread::yield_now();
    }
}

/// The same, started.
fn running() -> Running {
    host().start()
}
