//! Instructions of the request path, counted by valgrind's callgrind: they do not depend on the machine's mood.
//!
//! A host is run twice, for fewer and for more requests over one connection; the difference is what the requests alone
//! cost. The counts that are in force are committed. More than a twentieth above them is a regression.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::error::BenchError;
use crate::exchange::Exchange;
use crate::machine::Cores;
use crate::server;
use crate::workload;

/// The requests of the shorter run, which also warm everything up, and how many more the longer one makes.
const FEW: u32 = 300;
const MORE: u32 = 1000;
/// How much more than the committed count is taken for noise.
const TOLERANCE: f64 = 1.05;

/// Instructions for each request, by case.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counts {
    /// What they were taken with: another compiler makes other code.
    compiler: String,
    instructions: BTreeMap<String, u64>,
}

/// Counts, and compares with the counts in `file`, or writes them there.
pub(crate) fn check(file: &Path, update: bool) -> Result<(), BenchError> {
    Cores::plan().be_server()?;
    let failed = || BenchError::io(format!("the counts in {}", file.display()));
    if update {
        let mut text = serde_json::to_vec_pretty(&counted()?)?;
        text.push(b'\n');
        return std::fs::write(file, text).map_err(failed());
    }
    let committed: Counts = serde_json::from_slice(&std::fs::read(file).map_err(failed())?)?;
    compare(&counted()?, &committed)
}

/// All cases, each as the median of three counts: what threads do while they wait and while the host starts is counted
/// too, and differs.
fn counted() -> Result<Counts, BenchError> {
    let mut counts = Counts { compiler: compiler()?, ..Counts::default() };
    for (name, exchange) in workload::counted()? {
        let mut tries = [count(&exchange)?, count(&exchange)?, count(&exchange)?];
        tries.sort_unstable();
        counts.instructions.insert(name.to_owned(), tries[1]);
    }
    Ok(counts)
}

fn is_more(found: u64, known: u64) -> bool {
    found as f64 > known as f64 * TOLERANCE
}

fn compare(counts: &Counts, committed: &Counts) -> Result<(), BenchError> {
    let mut out = std::io::stdout();
    let mut more = Vec::new();
    for (name, &found) in &counts.instructions {
        let known = committed.instructions.get(name).copied();
        let text = known.map_or_else(|| "not committed".to_owned(), |known| format!("committed {known}"));
        let _ = writeln!(out, "{name}: {found} instructions for each request, {text}");
        if known.is_none_or(|known| is_more(found, known)) {
            more.push(format!("{name}: {found}, {text}"));
        }
    }
    if more.is_empty() {
        return Ok(());
    }
    let compilers = if counts.compiler == committed.compiler {
        String::new()
    } else {
        format!(" (counted with {}, committed with {})", counts.compiler, committed.compiler)
    };
    Err(BenchError::Instructions(format!("{}{compilers}", more.join("; "))))
}

/// What one request costs.
fn count(exchange: &Exchange) -> Result<u64, BenchError> {
    let few = collect(exchange, FEW)?;
    let all = collect(exchange, FEW + MORE)?;
    Ok(all.saturating_sub(few) / u64::from(MORE))
}

/// All instructions of a host that answers so many requests.
fn collect(exchange: &Exchange, requests: u32) -> Result<u64, BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::io("making a folder"))?;
    let file = folder.path().join("callgrind.out");
    let deployed = server::all_functions()?;
    // What is in the store already is not probed: under valgrind the host cannot start itself as a probe.
    drop(deployed.start()?);
    let mut valgrind = Command::new("valgrind");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", file.display()));
    let mut host = deployed.start_under(valgrind)?;
    let mut client = Client::connect(host.address)?;
    for _ in 0..requests {
        client.call(exchange)?;
    }
    drop(client);
    // It writes its counts when the program ends by itself.
    host.process.terminate()?;
    let text = std::fs::read_to_string(&file).map_err(BenchError::io("reading callgrind's counts"))?;
    let totals = text.lines().rev().find_map(|line| line.strip_prefix("totals: "));
    totals
        .and_then(|totals| totals.trim().parse().ok())
        .ok_or_else(|| BenchError::Answer("callgrind wrote no totals".to_owned()))
}

fn compiler() -> Result<String, BenchError> {
    let output = Command::new("rustc")
        .arg("--version")
        .output()
        .map_err(BenchError::io("asking for rustc's version"))?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(instructions: u64) -> Counts {
        let instructions = BTreeMap::from([("hello".to_owned(), instructions)]);
        Counts { compiler: String::new(), instructions }
    }

    #[test]
    fn a_twentieth_more_is_too_much() {
        assert!(compare(&counts(1050), &counts(1000)).is_ok());
        assert!(compare(&counts(500), &counts(1000)).is_ok());
        assert!(compare(&counts(1051), &counts(1000)).is_err());
        assert!(compare(&counts(1), &Counts::default()).is_err());
    }
}
