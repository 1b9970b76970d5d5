//! The servers under test: child processes on ports that the kernel chose, killed when they are dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::BODY;
use crate::load::Load;

/// Why the benchmark cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    #[error("{0} is not there; `just bench` builds it first")]
    NotBuilt(PathBuf),
    #[error("{0} ended before it listened")]
    NotListening(&'static str),
    #[error("{0}")]
    Answer(String),
}

/// One running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    path: &'static str,
    child: Child,
    _folder: Option<TempDir>,
}

impl Server {
    /// A bare axum handler, served by this very program.
    pub(crate) fn bare_axum() -> Result<Self, BenchError> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve-axum").stdout(Stdio::piped());
        let name = "bare axum";
        let mut child = command.spawn()?;
        let address = child.stdout.take().and_then(|out| first(out, |line| line.parse().ok()));
        let address = address.ok_or(BenchError::NotListening(name))?;
        Ok(Self { name, address, path: "/hello", child, _folder: None })
    }

    /// The host with its default settings and one function, a plain `fn`.
    pub(crate) fn hhrf() -> Result<Self, BenchError> {
        let folder = tempfile::tempdir()?;
        let function = folder.path().join("functions/hello@latest");
        std::fs::create_dir_all(&function)?;
        let library =
            format!("{}fezz_bench_hello{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        std::fs::copy(built(&library)?, function.join(&library))?;
        let routes = serde_json::json!([{ "path": "/", "method": "GET" }]);
        let manifest =
            serde_json::json!({ "id": "hello", "version": "latest", "entry": library, "routes": routes });
        std::fs::write(function.join("fezz.json"), manifest.to_string())?;
        let mut command = Command::new(built("hhrf")?);
        command
            .current_dir(folder.path())
            .args(["--listen", "127.0.0.1:0", "--log-format", "json"])
            .stderr(Stdio::piped());
        let name = "hhrf, plain fn";
        let mut child = command.spawn()?;
        let address = child.stderr.take().and_then(|log| first(log, listening));
        let address = address.ok_or(BenchError::NotListening(name))?;
        Ok(Self { name, address, path: "/rpc/hello@latest", child, _folder: Some(folder) })
    }

    /// The bytes of one request.
    pub(crate) fn request(&self) -> Vec<u8> {
        format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", self.path, self.address).into_bytes()
    }

    /// Whether it answers as every row has to.
    pub(crate) fn check(&self) -> Result<(), BenchError> {
        let load = Load {
            address: self.address,
            request: self.request(),
            connections: 1,
            warm_up: Duration::ZERO,
            time: Duration::from_millis(10),
        };
        load.run().map(drop)
    }

    /// Resident memory; none where the system does not tell.
    pub(crate) fn resident_mib(&self) -> Option<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file that lies beside this program.
fn built(name: &str) -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe()?;
    let path = own.parent().unwrap_or(Path::new(".")).join(name);
    if path.exists() { Ok(path) } else { Err(BenchError::NotBuilt(path)) }
}

/// The address in the host's "listening" line.
fn listening(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = &line["fields"];
    if fields["message"] == "listening" { fields["address"].as_str()?.parse().ok() } else { None }
}

/// The first line that `read` can use. What comes after it is read and thrown away, so that the server never waits.
fn first<T>(source: impl std::io::Read + Send + 'static, read: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut lines = BufReader::new(source).lines().map_while(Result::ok);
    let found = lines.find_map(|line| read(&line))?;
    std::thread::spawn(move || lines.for_each(drop));
    Some(found)
}

/// Checks one answer's head and body.
pub(crate) fn check_answer(head: &str, body: &[u8]) -> Result<(), BenchError> {
    if head.starts_with("HTTP/1.1 200 ") && body == BODY.as_bytes() {
        return Ok(());
    }
    Err(BenchError::Answer(format!("unexpected answer: {head}\n{}", String::from_utf8_lossy(body))))
}
