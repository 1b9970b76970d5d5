//! Instructions of the request path, counted by valgrind's callgrind, which are nearly the same on a busy machine.
//!
//! A host is run twice, for fewer and for more requests over one connection; the difference is the cost of the requests
//! alone. More than 5 % above the committed counts is a regression.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::client::Client;
use crate::cores::Cores;
use crate::error::BenchError;
use crate::exchange::Exchange;
use crate::server::{self, GivenHost};
use crate::workload;

/// Requests of the shorter run, which also warm the host up, and how many more the longer one makes.
const FEW: u32 = 300;
const MORE: u32 = 1000;
/// The ratio to the committed count up to which more is noise.
const TOLERANCE: f64 = 1.05;

/// Instructions for each request, by case.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Counts {
    /// The compiler that the counts are of.
    compiler: String,
    instructions: BTreeMap<String, u64>,
}

/// Counts, and compares with the counts in `file`, or writes them there. Given hosts are counted and printed only.
pub(crate) fn check(file: &Path, update: bool, hosts: &[GivenHost]) -> Result<(), BenchError> {
    Cores::plan(false).be_server()?;
    let failed = || BenchError::io(format!("the counts in {}", file.display()));
    if update {
        let mut text = serde_json::to_vec_pretty(&counted(None)?)?;
        text.push(b'\n');
        return std::fs::write(file, text).map_err(failed());
    }
    let committed: Counts = serde_json::from_slice(&std::fs::read(file).map_err(failed())?)?;
    for host in hosts {
        for (name, found) in &counted(Some(&host.program))?.instructions {
            print(&format!("{}: {name}", host.name), *found, committed.instructions.get(name).copied());
        }
    }
    compare(&counted(None)?, &committed)
}

/// All cases, each as the median of three counts: threads also count while they wait and while the host starts, and that
/// differs. `program` is the host instead of the one built beside this program.
fn counted(program: Option<&Path>) -> Result<Counts, BenchError> {
    let mut counts = Counts { compiler: compiler()?, ..Counts::default() };
    for (name, exchange) in workload::counted()? {
        let mut tries = [count(program, &exchange)?, count(program, &exchange)?, count(program, &exchange)?];
        tries.sort_unstable();
        counts.instructions.insert(name.to_owned(), tries[1]);
    }
    Ok(counts)
}

fn print(name: &str, found: u64, committed: Option<u64>) {
    let committed = described(committed);
    let _ = writeln!(std::io::stdout(), "{name}: {found} instructions for each request, {committed}");
}

fn described(committed: Option<u64>) -> String {
    committed.map_or_else(|| "not committed".to_owned(), |known| format!("committed {known}"))
}

fn is_more(found: u64, known: u64) -> bool {
    found as f64 > known as f64 * TOLERANCE
}

fn compare(counts: &Counts, committed: &Counts) -> Result<(), BenchError> {
    let mut more = Vec::new();
    for (name, &found) in &counts.instructions {
        let known = committed.instructions.get(name).copied();
        print(name, found, known);
        if known.is_none_or(|known| is_more(found, known)) {
            more.push(format!("{name}: {found}, {}", described(known)));
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

/// Instructions of one request.
fn count(program: Option<&Path>, exchange: &Exchange) -> Result<u64, BenchError> {
    let few = collect(program, exchange, FEW)?;
    let all = collect(program, exchange, FEW + MORE)?;
    Ok(all.saturating_sub(few) / u64::from(MORE))
}

/// All instructions of a host from its start to its end, with this number of requests.
fn collect(program: Option<&Path>, exchange: &Exchange, requests: u32) -> Result<u64, BenchError> {
    let folder = tempfile::tempdir().map_err(BenchError::io("making a folder"))?;
    let file = folder.path().join("callgrind.out");
    let mut deployed = server::all_functions()?;
    if let Some(program) = program {
        deployed.run_by(program);
    }
    // Fills the store: under valgrind the host cannot start itself as a probe of new functions.
    drop(deployed.start()?);
    let mut valgrind = Command::new("valgrind");
    // The host has it already, and does not execute itself anew to get it: valgrind would not follow.
    valgrind.env("GLIBC_TUNABLES", "glibc.rtld.optional_static_tls=262144");
    valgrind.arg("--tool=callgrind").arg(format!("--callgrind-out-file={}", file.display()));
    let mut host = deployed.start_under(valgrind)?;
    let mut client = Client::connect(host.address)?;
    for _ in 0..requests {
        client.call(exchange)?;
    }
    drop(client);
    // callgrind writes its counts when the program exits.
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
