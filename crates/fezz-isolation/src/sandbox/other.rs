//! Other systems have no sandbox, and no worker without one: not even `off`, which promises that none outlives its host.

use super::{Confinement, Enforced};

/// Why there is no worker.
#[derive(Debug, thiserror::Error)]
#[error("worker processes need Linux; `\"isolation\": \"none\"` runs the function in the host's process")]
pub struct SandboxError;

pub const fn enter(_: &Confinement) -> Result<Enforced, SandboxError> {
    Err(SandboxError)
}

pub const fn die_with(_: u32) -> Result<(), SandboxError> {
    Err(SandboxError)
}
