//! The servers under test: child processes on ports that the kernel chose, killed when they are dropped.

mod axum;
mod hhrf;
mod libraries;
mod peers;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use axum::serve as serve_axum;
pub(crate) use hhrf::{Deployed, Host, all_functions, answering};
pub(crate) use libraries::{serve as serve_libraries, start as start_libraries};
pub(crate) use peers::version;

use crate::error::BenchError;

/// How long a server may take until it listens; 500 functions that are new to the store take their time.
const START_LIMIT: Duration = Duration::from_secs(120);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Name {
    BareAxum,
    /// Bare axum that calls the host's function through the C contract: a host that does nothing else.
    Contract,
    Hhrf,
    Deno,
    Bun,
    Node,
    Workerd,
    Nginx,
}

impl Name {
    /// Those that can be started here; peers where they are asked for.
    pub(crate) fn found(with_peers: bool) -> Vec<Self> {
        let peers = [Self::Deno, Self::Bun, Self::Node, Self::Workerd, Self::Nginx];
        let peers = peers.into_iter().filter(|&name| with_peers && peers::program(name).is_some());
        [Self::BareAxum, Self::Contract, Self::Hhrf].into_iter().chain(peers).collect()
    }

    pub(crate) const fn text(self) -> &'static str {
        match self {
            Self::BareAxum => "bare axum",
            Self::Contract => "control: C contract",
            Self::Hhrf => "hhrf",
            Self::Deno => "Deno",
            Self::Bun => "Bun",
            Self::Node => "Node",
            Self::Workerd => "workerd",
            Self::Nginx => "nginx and axum",
        }
    }

    /// Whether it can do what this function does.
    pub(crate) fn has(self, function: &str) -> bool {
        match self {
            Self::Contract => function == "hello",
            Self::Node | Self::Workerd => function != "todos",
            _ => true,
        }
    }

    /// The ways in which it runs a function: what a row's name ends with, and what the function's.
    pub(crate) fn kinds(self, function: &str) -> &'static [(&'static str, &'static str)] {
        match self {
            // What blocks has no business in an async fn.
            Self::Hhrf if function == "slow" => &[(" blocking", "")],
            Self::Hhrf => &[(" blocking", ""), (" async", "-async")],
            _ => &[("", "")],
        }
    }
}

/// A server that listens, and all that it needs.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) name: Name,
    pub(crate) address: SocketAddr,
    processes: Vec<Process>,
    _deployed: Option<Deployed>,
    _folder: TempDir,
}

impl Server {
    pub(crate) fn start(name: Name) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("making a folder"))?;
        let mut deployed = None;
        let (address, processes) = match name {
            Name::BareAxum => {
                let (address, process) = axum::start(folder.path())?;
                (address, vec![process])
            }
            Name::Contract => {
                let alone = hhrf::hello_alone()?;
                let (address, process) = libraries::start(&alone.functions())?;
                deployed = Some(alone);
                (address, vec![process])
            }
            Name::Hhrf => {
                let all = hhrf::all_functions()?;
                let Host { address, process, .. } = all.start()?;
                deployed = Some(all);
                (address, vec![process])
            }
            _ => peers::start(name, folder.path())?,
        };
        Ok(Self { name, address, processes, _deployed: deployed, _folder: folder })
    }

    /// Whose processor time is the server's.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.processes.iter().map(Process::serving).collect()
    }
}

/// A child process, killed when it is dropped: also when it never came to listen.
#[derive(Debug)]
pub(crate) struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Result<Self, BenchError> {
        let doing = format!("starting {}", Path::new(command.get_program()).display());
        command.spawn().map(Self).map_err(BenchError::io(doing))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// The process that does the work: the one that it supervises, or itself.
    pub(crate) fn serving(&self) -> u32 {
        let own = self.id();
        let children =
            std::fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        let is_serving = |child: &u32| {
            let arguments = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            arguments.split(|byte| *byte == 0).any(|argument| argument == b"--supervised")
        };
        children.split_whitespace().filter_map(|child| child.parse().ok()).find(is_serving).unwrap_or(own)
    }

    /// Asks it to end, and waits until it has.
    pub(crate) fn terminate(&mut self) -> Result<(), BenchError> {
        let pid = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw);
        let ended = pid.map_or(Err(rustix::io::Errno::SRCH), |pid| {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
        });
        ended.map_err(|error| BenchError::io("ending a server")(error.into()))?;
        self.0.wait().map_err(BenchError::io("waiting for a server's end"))?;
        Ok(())
    }

    /// Resident memory of the process that does the work, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<f64, BenchError> {
        let doing = || BenchError::io("reading the host's resident memory");
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.serving())).map_err(doing())?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
        kib.and_then(|kib| kib.parse().ok())
            .ok_or_else(|| doing()(std::io::Error::other("its status has no VmRSS")))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
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
    mut read: impl FnMut(&str) -> Option<SocketAddr>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_early_is_quoted() {
        let lines = lines(Some(&b"the port is taken\n"[..]));
        let error = await_address("it", &lines, |line| line.parse().ok()).map_err(|error| error.to_string());
        assert_eq!(error, Err("it ended before it listened; it said:\nthe port is taken\n".to_owned()));
    }
}
