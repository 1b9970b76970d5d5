//! Systems other than Linux: no sandbox, hence no workers. Even the profile `off` promises that no worker outlives its
//! host.

use super::{Confinement, Enforced, Profile};

/// Workers are not supported on this system.
#[derive(Debug, thiserror::Error)]
#[error("worker processes need Linux; `\"isolation\": \"none\"` runs the function in the host's process")]
pub struct SandboxError;

/// Refused.
///
/// # Errors
/// Always.
pub const fn enter(_: &Confinement) -> Result<Enforced, SandboxError> {
    Err(SandboxError)
}

/// Refused.
///
/// # Errors
/// Always.
pub const fn die_with(_: u32) -> Result<(), SandboxError> {
    Err(SandboxError)
}

/// None.
pub fn files_by_name(_: Profile) -> impl Iterator<Item = &'static str> {
    std::iter::empty()
}
