//! The conformance tests again, with every function in a worker process: whatever a function can do, it can do there.
//!
//! One worker runs all calls of a function, so that tests which count in its statics find what they count.

#![expect(clippy::duplicate_mod, reason = "each test is there for either way of running functions")]

use fezz_testkit::{Host, Running};
use serde_json::Value;

use crate::{ROUTES, fixture, wait_until, with_async, with_fixture, with_wire};

#[path = "async_calls.rs"]
mod async_calls;
#[path = "cors.rs"]
mod cors;
#[path = "http.rs"]
mod http;
#[path = "lengths.rs"]
mod lengths;
#[path = "limits.rs"]
mod limits;
#[path = "mounts.rs"]
mod mounts;
#[path = "replies.rs"]
mod replies;
#[path = "requests.rs"]
mod requests;
#[path = "streams.rs"]
mod streams;
#[path = "trailers.rs"]
mod trailers;
#[path = "upgrades.rs"]
mod upgrades;

const ISOLATED: bool = true;

fn bare() -> Host {
    Host::new()
        .env("HHRF_ISOLATION", "process")
        .env("HHRF_WORKERS_MAX", "1")
        .env("HHRF_WORKER_CONCURRENCY", "64")
        .env("HHRF_WORKER_MAX_CALLS", "1000000000")
}

fn host() -> Host {
    with_fixture(bare())
}

fn async_host(more: Value) -> Host {
    with_async(host(), more)
}

fn wire_host() -> Host {
    with_wire(bare())
}

fn running() -> Running {
    host().start()
}
