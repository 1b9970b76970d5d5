//! The servers under test: child processes that listen on a free port and are killed when dropped.

mod axum;
mod given;
mod hhrf;
mod libraries;
mod peers;

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tempfile::TempDir;

pub(crate) use axum::{serve as serve_axum, sockets as sockets_on_axum};
pub(crate) use given::{GivenHost, repeated};
pub(crate) use hhrf::{Deployed, Host, all_functions, answering, sockets as sockets_on_hhrf};
pub(crate) use libraries::{serve as serve_libraries, start as start_libraries};
pub(crate) use peers::version;

use crate::error::BenchError;
use crate::usage;

/// Time limit for a server to listen; 500 functions that are new to the store take long.
const START_LIMIT: Duration = Duration::from_secs(120);

/// A kind of server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    BareAxum,
    /// axum as one would run it, below the usual middleware.
    AxumWithMiddleware,
    /// Bare axum that calls the host's function through the C contract: a host that does nothing else.
    Contract,
    Hhrf,
    /// Another build of hhrf.
    Given(Rc<GivenHost>),
    Deno,
    Bun,
    Node,
    Workerd,
    Nginx,
}

impl Kind {
    /// All servers to be measured, in the order of their rows; with peers, those that are installed.
    pub(crate) fn found(hosts: &[GivenHost], with_peers: bool) -> Vec<Self> {
        let mut kinds = vec![Self::BareAxum, Self::AxumWithMiddleware, Self::Contract, Self::Hhrf];
        kinds.extend(hosts.iter().map(|host| Self::Given(Rc::new(host.clone()))));
        if with_peers {
            let peers = [Self::Deno, Self::Bun, Self::Node, Self::Workerd, Self::Nginx];
            kinds.extend(peers.into_iter().filter(|kind| peers::program(kind).is_some()));
        }
        kinds
    }

    pub(crate) fn text(&self) -> &str {
        match self {
            Self::BareAxum => "bare axum",
            Self::AxumWithMiddleware => "axum with middleware",
            Self::Contract => "control: C contract",
            Self::Hhrf => "hhrf",
            Self::Given(host) => &host.name,
            Self::Deno => "Deno",
            Self::Bun => "Bun",
            Self::Node => "Node",
            Self::Workerd => "workerd",
            Self::Nginx => "nginx and axum",
        }
    }

    /// A row's name: a given host's is separated from what is measured, "before: async".
    pub(crate) fn row(&self, what: &str) -> String {
        match self {
            Self::Given(host) => format!("{}: {what}", host.name),
            kind if what.is_empty() => kind.text().to_owned(),
            kind => format!("{} {what}", kind.text()),
        }
    }

    /// Whether it has this function.
    pub(crate) fn has(&self, function: &str) -> bool {
        match self {
            Self::AxumWithMiddleware => matches!(function, "hello" | "echo" | "json"),
            Self::Contract => function == "hello",
            Self::Node | Self::Workerd => function != "todos",
            _ => true,
        }
    }

    /// The ways in which it runs a function: what is added to the row's name, and to the function's.
    pub(crate) fn modes(&self, function: &str) -> &'static [(&'static str, &'static str)] {
        match self {
            // A function that blocks must not be an async fn.
            Self::Hhrf | Self::Given(_) if function == "slow" => &[("blocking", "")],
            Self::Hhrf | Self::Given(_) => &[("blocking", ""), ("async", "-async")],
            _ => &[("", "")],
        }
    }
}

/// A server that listens, with its folders.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) kind: Kind,
    pub(crate) address: SocketAddr,
    processes: Vec<Process>,
    _deployed: Option<Deployed>,
    _folder: TempDir,
}

impl Server {
    pub(crate) fn start(kind: &Kind) -> Result<Self, BenchError> {
        let folder = tempfile::tempdir().map_err(BenchError::io("making a folder"))?;
        let one = |(address, process)| (address, vec![process]);
        let mut deployed = None;
        let (address, processes) = match kind {
            Kind::BareAxum => one(axum::start(folder.path())?),
            Kind::AxumWithMiddleware => one(axum::start_with_middleware(folder.path())?),
            Kind::Contract => {
                let alone = deployed.insert(hhrf::hello_alone()?);
                one(libraries::start(&alone.functions())?)
            }
            Kind::Hhrf | Kind::Given(_) => {
                let mut all = hhrf::all_functions()?;
                if let Kind::Given(host) = kind {
                    all.run_by(&host.program);
                }
                let Host { address, process, .. } = deployed.insert(all).start()?;
                one((address, process))
            }
            _ => peers::start(kind, folder.path())?,
        };
        Ok(Self { kind: kind.clone(), address, processes, _deployed: deployed, _folder: folder })
    }

    /// The processes whose processor time is the server's.
    pub(crate) fn processes(&self) -> Vec<u32> {
        self.processes.iter().map(Process::serving).collect()
    }
}

/// A child process, killed when dropped, even if it never listened.
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

    /// The process that serves: the one that it supervises, or itself.
    pub(crate) fn serving(&self) -> u32 {
        usage::serving(self.id()).unwrap_or_else(|| self.id())
    }

    /// Ends it with a signal, and waits for its end.
    pub(crate) fn terminate(&mut self) -> Result<(), BenchError> {
        let pid = i32::try_from(self.id()).ok().and_then(rustix::process::Pid::from_raw);
        let ended = pid.map_or(Err(rustix::io::Errno::SRCH), |pid| {
            rustix::process::kill_process(pid, rustix::process::Signal::TERM)
        });
        ended.map_err(|error| BenchError::io("ending a server")(error.into()))?;
        self.0.wait().map_err(BenchError::io("waiting for a server's end"))?;
        Ok(())
    }

    /// Resident memory of the process that serves, in KiB.
    pub(crate) fn resident_kib(&self) -> Result<f64, BenchError> {
        let unknown = || BenchError::Answer("the host's resident memory is unknown".to_owned());
        usage::resident_kib(self.serving()).map(|kib| kib as f64).ok_or_else(unknown)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A file that is built beside this program.
fn built(name: &str) -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::io("finding this program"))?;
    let path = own.parent().unwrap_or(Path::new(".")).join(name);
    if path.exists() { Ok(path) } else { Err(BenchError::NotBuilt(path)) }
}

/// The lines that a child writes. They are read even if the receiver is dropped, so that the child never blocks.
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

/// The first address that `read` finds in a line. The error has what the server wrote instead.
fn await_address(
    name: &str,
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
    Err(BenchError::NotListening { name: name.to_owned(), how, said })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_ends_early_is_quoted() {
        let lines = lines(Some(&b"the port is taken\n"[..]));
        let error = await_address("it", &lines, |line| line.parse().ok()).map_err(|error| error.to_string());
        assert_eq!(error, Err("it ended before it listened; it wrote:\nthe port is taken\n".to_owned()));
    }

    #[test]
    fn given_hosts_follow_the_own_one() {
        let host = GivenHost { name: "before".to_owned(), program: PathBuf::from("/bin/sh") };
        let kinds = Kind::found(&[host], false);
        let names: Vec<_> = kinds.iter().map(Kind::text).collect();
        assert_eq!(names, ["bare axum", "axum with middleware", "control: C contract", "hhrf", "before"]);
        assert_eq!(kinds[3].row("async"), "hhrf async");
        assert_eq!(kinds[4].row("async"), "before: async");
        assert_eq!(kinds[0].row(""), "bare axum");
    }
}
