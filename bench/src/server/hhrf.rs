//! hhrf with its default settings and any functions.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Process, await_address, built, lines};
use crate::error::BenchError;

/// The library whose function answers with 20 bytes of JSON.
const HELLO: &str = "bench_hello";
/// The part of its answer that [`answering`] replaces.
const MARK: &str = "fezz-123";

/// Folders with deployed functions, on which hosts can be started any number of times.
#[derive(Debug)]
pub(crate) struct Deployed {
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
    /// The host's program, instead of the one built beside this program.
    program: Option<PathBuf>,
}

/// A host that listens.
#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) process: Process,
    /// From its start to its readiness.
    pub(crate) ready_after: Duration,
}

impl Deployed {
    /// No functions yet.
    pub(crate) fn new() -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("making a folder"))?;
        let deployed = Self { folder, settings: Vec::new(), program: None };
        std::fs::create_dir(deployed.functions()).map_err(BenchError::io("making the functions folder"))?;
        Ok(deployed)
    }

    /// Overrides one of the host's settings.
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.settings.push((name, value));
    }

    /// Uses another program as the host.
    pub(crate) fn run_by(&mut self, program: &Path) {
        self.program = Some(program.to_owned());
    }

    fn program(&self) -> Result<PathBuf, BenchError> {
        self.program.clone().map_or_else(|| built("hhrf"), Ok)
    }

    /// Where functions are deployed.
    pub(crate) fn functions(&self) -> PathBuf {
        self.folder.path().join("functions")
    }

    /// Deploys a library as `id@latest`, for `GET` and `POST` of its root. Returns the library's path.
    pub(crate) fn add(&self, id: &str, library: &[u8]) -> Result<PathBuf, BenchError> {
        self.add_as(id, library, json!({}))
    }

    /// [`Self::add`] with further keys in the manifest.
    fn add_as(&self, id: &str, library: &[u8], further: Value) -> Result<PathBuf, BenchError> {
        let failed = || BenchError::io(format!("deploying {id}"));
        let function = self.functions().join(format!("{id}@latest"));
        std::fs::create_dir(&function).map_err(failed())?;
        let file = function.join(file_name(id));
        std::fs::write(&file, library).map_err(failed())?;
        let routes = json!([{ "path": "/", "method": "GET" }, { "path": "/", "method": "POST" }]);
        let mut manifest = json!({ "id": id, "version": "latest", "entry": id, "routes": routes });
        if let (Value::Object(manifest), Value::Object(further)) = (&mut manifest, further) {
            manifest.extend(further);
        }
        std::fs::write(function.join("fezz.json"), manifest.to_string()).map_err(failed())?;
        Ok(file)
    }

    /// Links the store's copies of equal libraries to one file, which the loader maps once.
    pub(crate) fn link_copies(&self) -> Result<(), BenchError> {
        let failed = || BenchError::io("linking the store's copies");
        for digest in std::fs::read_dir(self.folder.path().join("state/store")).map_err(failed())? {
            let copies = std::fs::read_dir(digest.map_err(failed())?.path()).map_err(failed())?;
            let copies: Vec<_> =
                copies.map(|copy| Ok(copy?.path())).collect::<Result<_, _>>().map_err(failed())?;
            for pair in copies.windows(2) {
                std::fs::remove_file(&pair[1]).map_err(failed())?;
                std::fs::hard_link(&pair[0], &pair[1]).map_err(failed())?;
            }
        }
        Ok(())
    }

    /// Starts a host.
    pub(crate) fn start(&self) -> Result<Host, BenchError> {
        self.launch(Command::new(self.program()?))
    }

    /// Starts a host under another program, in one process: the program does not follow children.
    pub(crate) fn start_under(&self, mut runner: Command) -> Result<Host, BenchError> {
        runner.arg(self.program()?).arg("--no-supervisor");
        self.launch(runner)
    }

    fn launch(&self, mut command: Command) -> Result<Host, BenchError> {
        // So that neither a config/hhrf.toml nor the caller's variables change the defaults.
        command.current_dir(self.folder.path());
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("HHRF_")) {
            command.env_remove(key);
        }
        command
            .env("HHRF_LISTEN", "127.0.0.1:0")
            .env("HHRF_ADMIN", "127.0.0.1:0")
            .env("HHRF_LOG_FORMAT", "json")
            // There is no load balancer that has to notice the end.
            .env("HHRF_DRAIN_DELAY_MS", "0")
            .envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.arg("--functions").arg(self.functions());
        command.arg("--state-dir").arg(self.folder.path().join("state"));
        let begin = Instant::now();
        let mut process = Process::start(command.stderr(Stdio::piped()))?;
        let lines = lines(process.0.stderr.take());
        let name = command.get_program().display().to_string();
        let mut admin = None;
        let address = await_address(&name, &lines, |line| {
            admin = admin.or_else(|| logged(line, "admin listening"));
            logged(line, "listening")
        })?;
        let ready_after = begin.elapsed();
        // The admin listener is logged before the public one.
        let admin = admin.unwrap_or(address);
        Ok(Host { address, admin, process, ready_after })
    }
}

/// Concurrent calls of a function, one for each connection: the default limit would refuse some of 512.
const MAX_CALLS: usize = 512;

/// All functions of the workloads.
pub(crate) fn all_functions() -> Result<Deployed, BenchError> {
    let deployed = Deployed::new()?;
    for id in ["hello", "echo", "upload", "json", "todos", "slow"] {
        deployed.add_as(id, &library(&format!("bench_{id}"))?, json!({ "max_concurrency": MAX_CALLS }))?;
    }
    for id in ["hello", "echo", "upload", "json", "todos"] {
        let library = library(&format!("bench_{id}_async"))?;
        deployed.add_as(&format!("{id}-async"), &library, json!({ "max_concurrency": MAX_CALLS }))?;
    }
    let isolated = json!({ "max_concurrency": MAX_CALLS, "isolation": "process" });
    deployed.add_as("hello-isolated", &library(HELLO)?, isolated)?;
    deployed.add("limited", &library("bench_slow")?)?;
    Ok(deployed)
}

/// The function with WebSockets, in the host's process and isolated.
pub(crate) fn sockets() -> Result<Deployed, BenchError> {
    /// More than are opened at once.
    const MAX_OPEN: usize = 16_000;
    let mut deployed = Deployed::new()?;
    deployed.set("HHRF_MAX_CONNECTIONS", MAX_OPEN.to_string());
    let path = built(&file_name("fezz_bench_sockets"))?;
    let library = std::fs::read(&path).map_err(BenchError::io(format!("reading {}", path.display())))?;
    let routes = json!([{ "path": "/", "method": "GET", "upgrade": true }]);
    let more = json!({ "max_upgrades": MAX_OPEN, "routes": routes });
    deployed.add_as("sockets", &library, more.clone())?;
    let mut isolated = more;
    // A slot for each socket.
    isolated["isolation"] = json!("process");
    isolated["workers"] = json!({ "max": 2 });
    isolated["worker_concurrency"] = json!(64);
    deployed.add_as("sockets-isolated", &library, isolated)?;
    Ok(deployed)
}

/// Only the function that answers with 20 bytes of JSON.
pub(super) fn hello_alone() -> Result<Deployed, BenchError> {
    let deployed = Deployed::new()?;
    deployed.add("hello", &library(HELLO)?)?;
    Ok(deployed)
}

fn library(name: &str) -> Result<Vec<u8>, BenchError> {
    let path = built(&format!("examples/{}", file_name(name)))?;
    std::fs::read(&path).map_err(BenchError::io(format!("reading {}", path.display())))
}

/// The hello library with another answer of the same length, as a new build would have, and that answer.
pub(crate) fn answering(number: u32) -> Result<(Vec<u8>, String), BenchError> {
    let mut library = library(HELLO)?;
    let mark = format!("{number:0width$}", width = MARK.len());
    let places: Vec<_> = memchr::memmem::find_iter(&library, MARK.as_bytes()).collect();
    for place in places {
        library[place..place + MARK.len()].copy_from_slice(mark.as_bytes());
    }
    Ok((library, crate::BODY.replace(MARK, &mark)))
}

fn file_name(name: &str) -> String {
    format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX)
}

/// The address in a line of the host's log with this message.
fn logged(line: &str, message: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    if fields["message"] == message { fields["address"].as_str()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_in_the_listening_line_alone() {
        let line = r#"{"fields":{"message":"listening","address":"127.0.0.1:4000"}}"#;
        assert_eq!(logged(line, "listening"), "127.0.0.1:4000".parse().ok());
        assert_eq!(logged(line, "admin listening"), None);
        assert_eq!(logged("not JSON", "listening"), None);
    }
}
