//! Why the benchmark cannot go on.

use std::path::PathBuf;

/// What went wrong, and where.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("{doing}: {cause}")]
    Io { doing: String, cause: std::io::Error },
    #[error("the figures cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0} is not there; `just bench` builds it first")]
    NotBuilt(PathBuf),
    #[error("{name} {how}; it said:\n{said}")]
    NotListening { name: &'static str, how: &'static str, said: String },
    #[error("{0}")]
    Answer(String),
    #[error("it did not end in time: the server no longer answers")]
    Hung,
    #[error("there is no `{name}` to measure, but {known}")]
    Unknown { name: String, known: String },
    #[error(
        "the request path takes more instructions than before: {0}; where that is meant, commit new counts"
    )]
    Instructions(String),
    #[error("{row} at {connections} connections: {cause}")]
    Row { row: String, connections: usize, cause: Box<Self> },
}

impl BenchError {
    /// For `map_err`: an I/O error, and what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |cause| Self::Io { doing, cause }
    }

    /// For `map_err`: says which run it was.
    pub(crate) fn of(row: &str, connections: usize) -> impl FnOnce(Self) -> Self {
        let row = row.to_owned();
        move |cause| Self::Row { row, connections, cause: Box::new(cause) }
    }
}
