//! The workloads: requests, numbers of connections, servers and goals.

use std::rc::Rc;

use fezz_bench_work::order;
use fezz_bench_work::upload::receipt;

use crate::BODY;
use crate::error::BenchError;
use crate::exchange::{Exchange, Expected};
use crate::figure::Goal;
use crate::load::Traffic;
use crate::row::Metric;
use crate::server::Kind;

/// Connections that bring a function to its limit of concurrent calls.
const AT_LIMIT: usize = 256;

const AXUM: &str = "bare axum";
const DENO: &str = "Deno";
const BLOCKING: &str = "hhrf blocking";
const ASYNC: &str = "hhrf async";
const ISOLATED: &str = "hhrf isolated";
const ALONE: &str = "hhrf alone";
const BESIDE: &str = "hhrf beside";

/// One table.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) connections: Vec<usize>,
    /// The first is the base of the ratios.
    pub(crate) rows: Vec<RowPlan>,
    pub(crate) goals: Vec<RowGoal>,
}

/// A row to be measured.
#[derive(Clone, Debug)]
pub(crate) struct RowPlan {
    pub(crate) name: String,
    pub(crate) server: Kind,
    pub(crate) exchanges: Rc<[Exchange]>,
    /// Traffic at the same time that is not measured.
    pub(crate) beside: Option<Traffic>,
}

/// A goal for the ratio of two rows.
#[derive(Debug)]
pub(crate) struct RowGoal {
    pub(crate) row: &'static str,
    pub(crate) against: &'static str,
    pub(crate) connections: usize,
    pub(crate) metric: Metric,
    pub(crate) goal: Goal,
}

/// Makes the request to a function with this path.
type Requests = fn(&str) -> Result<Exchange, BenchError>;

/// All workloads, for these servers.
pub(crate) fn all(servers: &[Kind]) -> Result<Vec<Workload>, BenchError> {
    let plain = |name, title, connections: &[usize], function, requests| {
        plain(servers, name, title, connections, function, requests)
    };
    Ok(vec![
        Workload {
            goals: hello_goals(),
            ..plain("hello", "20 bytes of JSON", &[1, 64, 512], "hello", hello)?
        },
        isolated(servers)?,
        plain("echo-1k", "echo of 1 KiB", &[64], "echo", |path| echo(path, 1 << 10))?,
        plain("echo-1m", "echo of 1 MiB", &[64], "echo", |path| echo(path, 1 << 20))?,
        Workload {
            goals: vec![
                goal(BLOCKING, AXUM, 64, Metric::Throughput, Goal::AtLeast(0.95)),
                goal(ASYNC, AXUM, 64, Metric::Throughput, Goal::AtLeast(0.95)),
            ],
            ..plain("upload-1m", "1 MiB sent, a few bytes answered", &[64], "upload", upload)?
        },
        plain("json", "JSON in and out: 2 KiB parsed, validated, answered", &[64], "json", json)?,
        Workload {
            goals: todos_goals(),
            ..plain("todos-read", "todos in SQLite, read", &[64], "todos", todos_read)?
        },
        Workload {
            goals: todos_goals(),
            ..plain("todos-write", "todos in SQLite, written", &[64], "todos", todos_write)?
        },
        Workload {
            goals: vec![goal(BLOCKING, AXUM, 512, Metric::Throughput, Goal::AtLeast(0.95))],
            ..plain("slow", "a function that blocks 20 ms, limit 512", &[512], "slow", hello)?
        },
        beside(servers)?,
    ])
}

/// The requests whose instructions are counted.
pub(crate) fn counted() -> Result<Vec<(&'static str, Exchange)>, BenchError> {
    Ok(vec![
        ("hello", hello("/rpc/hello@latest")?),
        ("hello-async", hello("/rpc/hello-async@latest")?),
        ("echo-1k", echo("/rpc/echo@latest", 1 << 10)?),
        ("json", json("/rpc/json@latest")?),
    ])
}

/// The same request to every server that has the function.
fn plain(
    servers: &[Kind],
    name: &'static str,
    title: &'static str,
    connections: &[usize],
    function: &str,
    requests: Requests,
) -> Result<Workload, BenchError> {
    let mut rows = Vec::new();
    for server in servers.iter().filter(|server| server.has(function)) {
        for (mode, suffix) in server.modes(function) {
            let request = requests(&format!("/rpc/{function}{suffix}@latest"))?;
            rows.push(RowPlan::new(server.row(mode), server, request));
        }
    }
    Ok(Workload { name, title, connections: connections.to_vec(), rows, goals: Vec::new() })
}

impl RowPlan {
    fn new(name: impl Into<String>, server: &Kind, request: Exchange) -> Self {
        Self { name: name.into(), server: server.clone(), exchanges: Rc::from([request]), beside: None }
    }
}

/// The hosts among the servers: the one built here and those given.
fn hosts(servers: &[Kind]) -> impl Iterator<Item = &Kind> {
    servers.iter().filter(|server| matches!(server, Kind::Hhrf | Kind::Given(_)))
}

/// The same function in the host's process and in a sandboxed worker.
fn isolated(servers: &[Kind]) -> Result<Workload, BenchError> {
    let mut rows = Vec::new();
    for host in hosts(servers) {
        rows.push(RowPlan::new(host.row("blocking"), host, hello("/rpc/hello@latest")?));
        rows.push(RowPlan::new(host.row("isolated"), host, hello("/rpc/hello-isolated@latest")?));
    }
    rows.push(RowPlan::new(AXUM, &Kind::BareAxum, hello("/rpc/hello@latest")?));
    Ok(Workload {
        name: "isolated",
        title: "20 bytes of JSON from a plain function, in the host's process and isolated (strict)",
        connections: vec![1, 64],
        rows,
        goals: vec![
            goal(ISOLATED, BLOCKING, 1, Metric::P50, Goal::AtMost(1.25)),
            goal(ISOLATED, BLOCKING, 64, Metric::Throughput, Goal::AtLeast(0.5)),
            goal(ISOLATED, AXUM, 64, Metric::Throughput, Goal::AtLeast(0.35)),
        ],
    })
}

fn hello_goals() -> Vec<RowGoal> {
    vec![
        goal(ASYNC, AXUM, 64, Metric::Throughput, Goal::AtLeast(0.9)),
        goal(ASYNC, AXUM, 64, Metric::P99, Goal::AtMost(1.3)),
        goal(ASYNC, DENO, 64, Metric::Throughput, Goal::AtLeast(0.95)),
        goal(BLOCKING, AXUM, 64, Metric::Throughput, Goal::AtLeast(0.6)),
        goal(BLOCKING, AXUM, 64, Metric::P99, Goal::AtMost(3.0)),
        goal(BLOCKING, AXUM, 1, Metric::P50, Goal::AtMost(1.1)),
    ]
}

fn todos_goals() -> Vec<RowGoal> {
    vec![
        goal(BLOCKING, DENO, 64, Metric::Throughput, Goal::AtLeast(1.5)),
        goal(ASYNC, DENO, 64, Metric::Throughput, Goal::AtLeast(1.5)),
    ]
}

const fn goal(
    row: &'static str,
    against: &'static str,
    connections: usize,
    metric: Metric,
    goal: Goal,
) -> RowGoal {
    RowGoal { row, against, connections, metric, goal }
}

/// A fast function alone, and beside a slow one of the same host at its limit of concurrent calls.
fn beside(servers: &[Kind]) -> Result<Workload, BenchError> {
    let slow = Traffic { exchanges: Rc::from([hello("/rpc/limited@latest")?]), connections: AT_LIMIT };
    let mut rows = Vec::new();
    for host in hosts(servers) {
        let fast = hello("/rpc/hello@latest")?;
        rows.push(RowPlan::new(host.row("alone"), host, fast.clone()));
        rows.push(RowPlan { beside: Some(slow.clone()), ..RowPlan::new(host.row("beside"), host, fast) });
    }
    Ok(Workload {
        name: "beside",
        title: "a fast function beside one that blocks 20 ms and is at its limit of 256 calls",
        connections: vec![64],
        rows,
        goals: vec![goal(BESIDE, ALONE, 64, Metric::P99, Goal::AtMost(2.0))],
    })
}

fn hello(path: &str) -> Result<Exchange, BenchError> {
    Ok(Exchange::get(path, BODY))
}

fn echo(path: &str, length: usize) -> Result<Exchange, BenchError> {
    let body = bytes(length);
    Ok(Exchange::post(path, "application/octet-stream", &body, Expected::Body(body.clone())))
}

fn upload(path: &str) -> Result<Exchange, BenchError> {
    let body = bytes(1 << 20);
    let receipt = receipt(&body).into_bytes();
    Ok(Exchange::post(path, "application/octet-stream", &body, Expected::Body(receipt)))
}

fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251).to_le_bytes()[0]).collect()
}

fn json(path: &str) -> Result<Exchange, BenchError> {
    let failed = |error: order::OrderError| BenchError::Answer(error.to_string());
    let order = order::sample().map_err(failed)?;
    let priced = order::price(&order).map_err(failed)?;
    Ok(Exchange::post(path, "application/json", &order, Expected::Body(priced)))
}

/// Ten of the todos that every database begins with; no write changes them.
fn todos_read(path: &str) -> Result<Exchange, BenchError> {
    let todo = |id: u32| format!(r#"{{"id":{id},"title":"todo number {id}","done":{}}}"#, id % 2 == 1);
    let todos: Vec<_> = (501..511).map(todo).collect();
    Ok(Exchange::get(&format!("{path}?after=500"), format!("[{}]", todos.join(","))))
}

fn todos_write(path: &str) -> Result<Exchange, BenchError> {
    let body = br#"{"title":"a todo that was just made"}"#;
    Ok(Exchange::post(path, "application/json", body, Expected::Created(r#"{"id":"#)))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::server::GivenHost;

    fn rows(workload: &str) -> Vec<String> {
        let host = GivenHost { name: "before".to_owned(), program: PathBuf::from("/bin/sh") };
        let workloads = all(&Kind::found(&[host], false)).expect("the workloads");
        let workload = workloads.into_iter().find(|known| known.name == workload).expect("this workload");
        workload.rows.into_iter().map(|row| row.name).collect()
    }

    #[test]
    fn rows_of_a_given_host_follow_those_of_the_own() {
        assert_eq!(
            rows("hello"),
            [
                "bare axum",
                "axum with middleware",
                "control: C contract",
                "hhrf blocking",
                "hhrf async",
                "before: blocking",
                "before: async"
            ]
        );
        assert_eq!(
            rows("isolated"),
            ["hhrf blocking", "hhrf isolated", "before: blocking", "before: isolated", "bare axum"]
        );
        assert_eq!(rows("beside"), ["hhrf alone", "hhrf beside", "before: alone", "before: beside"]);
        assert_eq!(rows("slow"), ["bare axum", "hhrf blocking", "before: blocking"]);
    }

    #[test]
    fn goals_are_of_rows_that_exist() {
        // Deno is a peer, which need not be installed.
        for workload in all(&Kind::found(&[], false)).expect("the workloads") {
            for goal in workload.goals.iter().filter(|goal| goal.against != DENO) {
                for name in [goal.row, goal.against] {
                    assert!(workload.rows.iter().any(|row| row.name == name), "{}: {name}", workload.name);
                }
            }
        }
    }
}
