//! The error of each stage, in one: what [`respond`](crate::respond) makes an answer of.

use std::sync::Arc;

use crate::invoke::InvokeError;
use crate::resolve::LoadError;
use crate::route::RouteError;
use fezz_guard::Violation;

/// Why a request was not answered by a function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Resolve(#[from] Arc<LoadError>),
    #[error("the function is in quarantine: {0}; deploy another build of it")]
    Quarantined(String),
    #[error(transparent)]
    Invoke(#[from] InvokeError),
    #[error("the host panicked: {0}")]
    Panic(String),
}

/// Why a request is not even looked at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("{}", .0.message())]
    Connection(Violation),
    #[error("the request has {found} headers, at most {limit} are taken")]
    TooManyHeaders { found: usize, limit: usize },
    #[error("the request's target and headers are longer than the {limit} bytes that are taken")]
    HeadTooLarge { limit: usize },
}
