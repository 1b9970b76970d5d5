//! The servers under test: child processes on ports that the kernel chose, killed when they are dropped.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::BenchError;
use crate::load;

/// How long a server may take until it listens.
const START_LIMIT: Duration = Duration::from_secs(20);

/// One running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    path: &'static str,
    process: Process,
    _folder: Option<TempDir>,
}

impl Server {
    /// A bare axum handler, served by this very program.
    pub(crate) fn bare_axum() -> Result<Self, BenchError> {
        let name = "bare axum";
        let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
        let mut process = Process::start(Command::new(own).arg("serve-axum").stdout(Stdio::piped()))?;
        let lines = lines(process.0.stdout.take());
        let address = await_address(name, &lines, |line| line.parse().ok())?;
        Ok(Self { name, address, path: "/hello", process, _folder: None })
    }

    /// The host with its default settings and one function, a plain `fn`.
    pub(crate) fn hhrf() -> Result<Self, BenchError> {
        let name = "hhrf, plain fn";
        let folder = deploy()?;
        let mut command = Command::new(built("hhrf")?);
        // Neither a config/hhrf.toml where this was started nor a variable of the caller's makes other than the defaults.
        command.current_dir(folder.path());
        for (key, _) in std::env::vars_os().filter(|(key, _)| key.to_string_lossy().starts_with("HHRF_")) {
            command.env_remove(key);
        }
        command
            .env("HHRF_LISTEN", "127.0.0.1:0")
            .env("HHRF_ADMIN", "127.0.0.1:0")
            .env("HHRF_LOG_FORMAT", "json");
        command.arg("--functions").arg(folder.path().join("functions"));
        command.arg("--state-dir").arg(folder.path().join("state"));
        let mut process = Process::start(command.stderr(Stdio::piped()))?;
        let lines = lines(process.0.stderr.take());
        let address = await_address(name, &lines, listening)?;
        Ok(Self { name, address, path: "/rpc/hello@latest", process, _folder: Some(folder) })
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.0.id()
    }

    /// The bytes of one request.
    pub(crate) fn request(&self) -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", self.path, self.address).into_bytes()
    }

    /// One request, answered as every row has to.
    pub(crate) fn call(&self) -> Result<(), BenchError> {
        load::call(self.address, &self.request()).map_err(BenchError::of(self.name, 1))
    }

    /// Resident memory; none where the system does not tell.
    pub(crate) fn resident_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib / 1024.0)
    }
}

/// A child process, killed when it is dropped: also when it never came to listen.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Result<Self, BenchError> {
        let doing = format!("starting {}", Path::new(command.get_program()).display());
        command.spawn().map(Self).map_err(BenchError::io(doing))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder with functions/hello@latest in it.
fn deploy() -> Result<TempDir, BenchError> {
    let failed = || BenchError::io("deploying the function");
    let folder = tempfile::tempdir().map_err(failed())?;
    let function = folder.path().join("functions/hello@latest");
    std::fs::create_dir_all(&function).map_err(failed())?;
    let library = format!("{}fezz_bench_hello{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    std::fs::copy(built(&library)?, function.join(&library)).map_err(failed())?;
    let manifest = serde_json::json!({
        "id": "hello",
        "version": "latest",
        "entry": "fezz_bench_hello",
        "routes": [{ "path": "/", "method": "GET" }],
    });
    std::fs::write(function.join("fezz.json"), manifest.to_string()).map_err(failed())?;
    Ok(folder)
}

/// A file that lies beside this program.
fn built(name: &str) -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
    let path = own.parent().unwrap_or(Path::new(".")).join(name);
    if path.exists() { Ok(path) } else { Err(BenchError::NotBuilt(path)) }
}

/// What a child writes. It is read to the end even when nobody wants it any more, so that the child never waits.
fn lines(source: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in source.into_iter().flat_map(|source| BufReader::new(source).lines()).map_while(Result::ok)
        {
            let _ = sender.send(line);
        }
    });
    receiver
}

/// The first address that `read` finds; where there is none, what the server said instead.
fn await_address(
    name: &'static str,
    lines: &Receiver<String>,
    read: impl Fn(&str) -> Option<SocketAddr>,
) -> Result<SocketAddr, BenchError> {
    let limit = Instant::now() + START_LIMIT;
    let mut said = String::new();
    let how = loop {
        match lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            Ok(line) => match read(&line) {
                Some(address) => return Ok(address),
                None => said = said + &line + "\n",
            },
            Err(RecvTimeoutError::Timeout) => break "did not listen in time",
            Err(RecvTimeoutError::Disconnected) => break "ended before it listened",
        }
    };
    Err(BenchError::NotListening { name, how, said })
}

/// The address in the host's "listening" line.
fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    if fields["message"] == "listening" { fields["address"].as_str()?.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_in_the_listening_line_alone() {
        let line = r#"{"fields":{"message":"listening","address":"127.0.0.1:4000"}}"#;
        assert_eq!(listening(line), "127.0.0.1:4000".parse().ok());
        assert_eq!(listening(&line.replace("listening", "draining")), None);
        assert_eq!(listening("not JSON"), None);
    }

    #[test]
    fn a_server_that_ends_early_is_quoted() {
        let lines = lines(Some(&b"the port is taken\n"[..]));
        let error = await_address("it", &lines, listening).map_err(|error| error.to_string());
        assert_eq!(error, Err("it ended before it listened; it said:\nthe port is taken\n".to_owned()));
    }
}
