//! The workloads: which requests, over how many connections, to which servers, and what has to come out.

use std::rc::Rc;

use fezz_bench_work::order;
use fezz_bench_work::upload::receipt;

use crate::BODY;
use crate::error::BenchError;
use crate::exchange::{Exchange, Expected};
use crate::figure::Goal;
use crate::load::Traffic;
use crate::row::Metric;
use crate::server::Name;

/// How many connections load a function that blocks 20 ms to the limit of its calls.
const AT_LIMIT: usize = 256;

const AXUM: &str = "bare axum";
const DENO: &str = "Deno";
const BLOCKING: &str = "hhrf blocking";
const ASYNC: &str = "hhrf async";
const ISOLATED: &str = "hhrf isolated";

/// One table.
#[derive(Debug)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) connections: Vec<usize>,
    /// The first is what the others are held against.
    pub(crate) rows: Vec<RowPlan>,
    pub(crate) goals: Vec<RowGoal>,
}

/// A row to be measured.
#[derive(Clone, Debug)]
pub(crate) struct RowPlan {
    pub(crate) name: String,
    pub(crate) server: Name,
    pub(crate) exchanges: Rc<[Exchange]>,
    pub(crate) beside: Option<Traffic>,
}

/// What a row has to reach against another one.
#[derive(Debug)]
pub(crate) struct RowGoal {
    pub(crate) row: &'static str,
    pub(crate) against: &'static str,
    pub(crate) connections: usize,
    pub(crate) metric: Metric,
    pub(crate) goal: Goal,
}

/// What is sent to a function with this path.
type Requests = fn(&str) -> Result<Exchange, BenchError>;

/// All of them, for the servers that there are.
pub(crate) fn all(servers: &[Name]) -> Result<Vec<Workload>, BenchError> {
    let plain = |name, title, connections: &[usize], function, requests| {
        plain(servers, name, title, connections, function, requests)
    };
    Ok(vec![
        Workload {
            goals: hello_goals(),
            ..plain("hello", "20 bytes of JSON", &[1, 64, 512], "hello", hello)?
        },
        isolated()?,
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
        beside()?,
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

/// The same request to every server that takes it.
fn plain(
    servers: &[Name],
    name: &'static str,
    title: &'static str,
    connections: &[usize],
    function: &str,
    requests: Requests,
) -> Result<Workload, BenchError> {
    let mut rows = Vec::new();
    for &server in servers.iter().filter(|server| server.has(function)) {
        for (kind, suffix) in server.kinds(function) {
            let exchanges = Rc::from([requests(&format!("/rpc/{function}{suffix}@latest"))?]);
            rows.push(RowPlan { name: format!("{}{kind}", server.text()), server, exchanges, beside: None });
        }
    }
    Ok(Workload { name, title, connections: connections.to_vec(), rows, goals: Vec::new() })
}

/// The same function in the host's process and in a sandboxed worker.
fn isolated() -> Result<Workload, BenchError> {
    let row = |name: &str, server, path| -> Result<RowPlan, BenchError> {
        Ok(RowPlan { name: name.to_owned(), server, exchanges: Rc::from([hello(path)?]), beside: None })
    };
    Ok(Workload {
        name: "isolated",
        title: "20 bytes of JSON from a plain function, in the host's process and isolated (strict)",
        connections: vec![1, 64],
        rows: vec![
            row(BLOCKING, Name::Hhrf, "/rpc/hello@latest")?,
            row(ISOLATED, Name::Hhrf, "/rpc/hello-isolated@latest")?,
            row(AXUM, Name::BareAxum, "/rpc/hello@latest")?,
        ],
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

/// A fast function alone, and while a slow one of the same host runs as many calls as it may.
fn beside() -> Result<Workload, BenchError> {
    let exchanges = Rc::from([hello("/rpc/hello@latest")?]);
    let alone = RowPlan { name: "hhrf, alone".to_owned(), server: Name::Hhrf, exchanges, beside: None };
    let slow = Traffic { exchanges: Rc::from([hello("/rpc/limited@latest")?]), connections: AT_LIMIT };
    let beside = RowPlan { name: "hhrf, beside".to_owned(), beside: Some(slow), ..alone.clone() };
    Ok(Workload {
        name: "beside",
        title: "a fast function beside one that blocks 20 ms and is at its limit of 256 calls",
        connections: vec![64],
        rows: vec![alone, beside],
        goals: vec![goal("hhrf, beside", "hhrf, alone", 64, Metric::P99, Goal::AtMost(2.0))],
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

/// The seeded ones in the middle, which no write changes.
fn todos_read(path: &str) -> Result<Exchange, BenchError> {
    let todo = |id: u32| format!(r#"{{"id":{id},"title":"todo number {id}","done":{}}}"#, id % 2 == 1);
    let todos: Vec<_> = (501..511).map(todo).collect();
    Ok(Exchange::get(&format!("{path}?after=500"), format!("[{}]", todos.join(","))))
}

fn todos_write(path: &str) -> Result<Exchange, BenchError> {
    let body = br#"{"title":"a todo that was just made"}"#;
    Ok(Exchange::post(path, "application/json", body, Expected::Created(r#"{"id":"#)))
}
