//! What the supervisor and a serving process say to each other: a line of JSON each, on the socket that is the serving
//! process's standard input.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::function::Quarantined;

/// Grows where an older supervisor could not do with a newer serving process.
pub(super) const VERSION: u32 = 1;

/// The first message, with descriptors beside it: the in-flight record, the listener, the admin listener if any.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Begin {
    pub(super) version: u32,
    pub(super) parent: u32,
    pub(super) quarantined: Vec<Quarantined>,
    /// Older supervisors do not say this, nor what follows.
    #[serde(default)]
    pub(super) settings: SettingsChoice,
    /// Where the last good settings are, if the settings file does not tell.
    #[serde(default)]
    pub(super) state_dir: Option<PathBuf>,
}

/// Which settings file a serving process goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingsChoice {
    /// The present one, whatever it is: an operator asks for it, while another process serves.
    Current,
    /// The last good one, where the present one is wrong.
    #[default]
    CurrentOrLastGood,
    /// The last good one, if there is any: the present one has not come to anything.
    LastGood,
}

/// To a serving process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    /// Another process serves from here on: finish what is there, and end.
    HandOver,
    /// The same as this signal, which a function's library may have taken for itself.
    End { signal: EndSignal },
    /// Just these builds are in quarantine.
    Quarantine { builds: Vec<Quarantined> },
}

/// The signals that end a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum EndSignal {
    #[serde(rename = "SIGTERM")]
    Term,
    #[serde(rename = "SIGINT")]
    Int,
}

impl EndSignal {
    /// Its name.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Term => "SIGTERM",
            Self::Int => "SIGINT",
        }
    }
}

/// From a serving process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// It accepts connections.
    Ready,
    /// It should be replaced by a fresh one.
    WornOut { reason: String },
}

/// Reads messages.
#[derive(Debug)]
pub(super) struct Reader(BufReader<OwnedReadHalf>);

/// Writes messages.
#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

pub(super) fn split(socket: UnixStream) -> (Reader, Writer) {
    let (read, write) = socket.into_split();
    (Reader(BufReader::new(read)), Writer(write))
}

impl Reader {
    /// The next message; none at the end, or where it is none that is known.
    pub(super) async fn next<M: for<'m> Deserialize<'m>>(&mut self) -> Option<M> {
        let mut line = String::new();
        let read = self.0.read_line(&mut line).await.unwrap_or_default();
        if read == 0 { None } else { serde_json::from_str(&line).ok() }
    }
}

impl Writer {
    pub(super) async fn send(&mut self, message: &impl Serialize) -> io::Result<()> {
        self.0.write_all(&line(message)?).await
    }
}

/// A message as it is sent.
pub(super) fn line(message: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    Ok(line)
}
