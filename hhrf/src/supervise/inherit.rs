//! The serving process's side: what it inherits, and what it reports to its supervisor.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdStream;
use std::path::PathBuf;
use std::sync::Arc;

use fezz_isolation::sandbox;
use rustix::io::dup;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::Sockets;
use super::message::{Begin, Order, Reader, Report, SettingsChoice, VERSION, Writer, split};
use crate::function::Quarantined;
use fezz_runtime::sys::{Shared, crash_record, receive_with_fds};

/// No first message is longer: a thousand functions in quarantine.
const BEGIN_BYTES: usize = 1 << 20;

/// What a serving process has from its supervisor.
#[derive(Debug)]
pub struct Inherited {
    pub(crate) sockets: Sockets,
    pub(crate) quarantined: Vec<Quarantined>,
    pub(crate) control: StdStream,
    /// Which settings file to go by.
    pub settings: SettingsChoice,
    /// The supervisor's state folder, where it says so.
    pub state_dir: Option<PathBuf>,
}

/// Why a serving process does not begin.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The supervisor's message did not come.
    #[error("the supervisor's message cannot be read: {0}; is `--supervised` for you to use?")]
    Message(#[from] io::Error),
    /// The supervisor is of another version.
    #[error("the supervisor speaks version {0} and this program {VERSION}; restart the service")]
    Version(u32),
    /// Something was not handed over.
    #[error("the supervisor handed over no {0}")]
    Missing(&'static str),
    /// The supervisor is gone.
    #[error("{0}")]
    Orphan(String),
}

impl Inherited {
    /// Takes over what the supervisor hands to this process's standard input. Must be called before there are other
    /// threads: it decides whose death ends this process.
    ///
    /// # Errors
    /// Where there is no supervisor that this program understands.
    pub fn receive() -> Result<Self, InheritError> {
        let control = StdStream::from(dup(io::stdin()).map_err(io::Error::from)?);
        rustix::stdio::dup2_stdin(std::fs::File::open("/dev/null")?).map_err(io::Error::from)?;
        rustix::io::fcntl_setfd(&control, rustix::io::FdFlags::CLOEXEC).map_err(io::Error::from)?;
        let (begin, handed) = begin(&control)?;
        if begin.version != VERSION {
            return Err(InheritError::Version(begin.version));
        }
        sandbox::die_with(begin.parent).map_err(|error| InheritError::Orphan(error.to_string()))?;
        let mut handed = handed.into_iter();
        let record = handed.next().ok_or(InheritError::Missing("in-flight record"))?;
        crash_record::install(Shared::open(&record)?);
        let listener = handed.next().ok_or(InheritError::Missing("listener"))?;
        let sockets =
            Sockets { listener: TcpListener::from(listener), admin: handed.next().map(TcpListener::from) };
        let Begin { quarantined, settings, state_dir, .. } = begin;
        Ok(Self { sockets, quarantined, control, settings, state_dir })
    }

    /// The ends of the conversation, within a runtime.
    pub(crate) fn supervisor(control: StdStream) -> io::Result<(SupervisorHandle, Orders)> {
        control.set_nonblocking(true)?;
        let (reader, writer) = split(UnixStream::from_std(control)?);
        Ok((SupervisorHandle(Arc::new(Mutex::new(writer))), Orders(reader)))
    }
}

fn begin(control: &StdStream) -> io::Result<(Begin, Vec<OwnedFd>)> {
    let mut text = Vec::new();
    let mut handed = Vec::new();
    let mut buffer = vec![0; 64 << 10];
    while !text.ends_with(b"\n") && text.len() < BEGIN_BYTES {
        let (received, fds) = receive_with_fds(control.as_fd(), &mut buffer)?;
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        text.extend_from_slice(&buffer[..received]);
        handed.extend(fds);
    }
    Ok((serde_json::from_slice(&text)?, handed))
}

/// Tells the supervisor.
#[derive(Clone, Debug)]
pub(crate) struct SupervisorHandle(Arc<Mutex<Writer>>);

impl SupervisorHandle {
    /// This process accepts connections.
    pub(crate) async fn ready(&self) {
        self.report(&Report::Ready).await;
    }

    /// This process should be replaced.
    pub(crate) async fn worn_out(&self, reason: String) {
        self.report(&Report::WornOut { reason }).await;
    }

    async fn report(&self, report: &Report) {
        if let Err(error) = self.0.lock().await.send(report).await {
            tracing::warn!("the supervisor cannot be told {report:?}: {error}");
        }
    }
}

/// What the supervisor has to say.
#[derive(Debug)]
pub(crate) struct Orders(Reader);

impl Orders {
    /// The next order. The supervisor's end is this process's, by a signal.
    pub(crate) async fn next(&mut self) -> Order {
        match self.0.next::<Order>().await {
            Some(order) => order,
            None => std::future::pending().await,
        }
    }
}
