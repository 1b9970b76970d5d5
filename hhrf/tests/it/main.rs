//! The host from outside: the real program, real libraries, real sockets.

mod admin;
mod connections;
mod deploy;
mod function_settings;
mod http;
mod http2;
mod isolation;
mod lifecycle;
mod limits;
mod replies;
mod settings;
mod swaps;
mod versions;

use std::path::PathBuf;

use fezz_testkit::{Host, Running, library};

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
    ("GET", "/variable"),
    ("GET", "/thread"),
];

fn fixture() -> PathBuf {
    library("fezz-fixture")
}

/// A host with the fixture as `fix@latest`, not started.
fn host() -> Host {
    Host::new().function("fix@latest", &fixture(), ROUTES)
}

/// The same, started.
fn running() -> Running {
    host().start()
}
