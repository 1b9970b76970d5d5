//! The errors of all stages in one enum: what [`respond`](super::respond) turns into a response.

use super::head_limits::HeadError;
use super::route::RouteError;
use crate::call::CallError;
use crate::load::LoadError;

/// Why a request was not answered by a function.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Head(#[from] HeadError),
    #[error(transparent)]
    Route(#[from] RouteError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("the function is in quarantine: {0}; deploy another build of it")]
    Quarantined(String),
    #[error(transparent)]
    Call(#[from] CallError),
}
