//! Functions that crashed the serving process too often.

use serde::{Deserialize, Serialize};

/// A build that is not to be called in the serving process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quarantined {
    /// `id@version`.
    pub(crate) name: String,
    /// The library's digest, in hex: another build is not in quarantine.
    pub(crate) digest: String,
    pub(crate) reason: String,
}
