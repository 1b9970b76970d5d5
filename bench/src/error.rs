//! Errors that end the benchmark.

use std::path::PathBuf;

/// An error, and what was being done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BenchError {
    #[error("{doing}: {cause}")]
    Io { doing: String, cause: std::io::Error },
    #[error("the figures as JSON: {0}")]
    Json(#[from] serde_json::Error),
    #[error("{0} does not exist; `just bench` builds it first")]
    NotBuilt(PathBuf),
    #[error("{name} {how}; it wrote:\n{said}")]
    NotListening { name: String, how: &'static str, said: String },
    #[error("{0}")]
    Answer(String),
    #[error("the run did not end in time: the server no longer answers")]
    Hung,
    #[error("`{name}` cannot be measured; known are {known}")]
    Unknown { name: String, known: String },
    #[error("two hosts are named `{0}`")]
    Repeated(String),
    #[error(
        "the request path takes more instructions than before: {0}; if that is intended, commit new counts"
    )]
    Instructions(String),
    #[error("{row} at {connections} connections: {cause}")]
    Row { row: String, connections: usize, cause: Box<Self> },
}

impl BenchError {
    /// For `map_err`: adds what was being done.
    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        move |cause| Self::Io { doing, cause }
    }

    /// For `map_err`: adds which run it was.
    pub(crate) fn of(row: &str, connections: usize) -> impl FnOnce(Self) -> Self {
        let row = row.to_owned();
        move |cause| Self::Row { row, connections, cause: Box::new(cause) }
    }
}
