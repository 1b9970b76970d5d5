//! One record of a history: a deployment, or the end of one.

use fezz_runtime::Digest;
use serde::{Deserialize, Serialize};

use super::Files;
use crate::catalog::store;

/// A line of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::catalog) struct Record {
    /// Counts from 1, for each function; never used again.
    pub(super) number: u64,
    /// When, in RFC 3339 and UTC.
    pub(super) at: String,
    /// Who: `drop` for a change in the functions folder.
    pub(super) who: String,
    /// What they had to say about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(super) message: String,
    /// What it came to.
    #[serde(flatten)]
    pub(super) outcome: Outcome,
}

/// What a deployment came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub(super) enum Outcome {
    /// It was served.
    Serving(Build),
    /// The function's folder was removed.
    Undeployed,
}

/// What a deployment consists of, by digest: all that it needs to run again, but secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::catalog) struct Build {
    /// The library.
    pub(in crate::catalog) digest: Digest,
    /// `fezz.json`.
    pub(in crate::catalog) manifest: Digest,
    /// `.env`, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::catalog) env: Option<Digest>,
    /// The files beside the library, if there are any: the digest of their list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::catalog) assets: Option<Digest>,
}

impl Record {
    /// What it served, if it did.
    pub(super) const fn build(&self) -> Option<&Build> {
        match &self.outcome {
            Outcome::Serving(build) => Some(build),
            Outcome::Undeployed => None,
        }
    }
}

impl Build {
    /// Whether it consists of these.
    pub(in crate::catalog) fn is_of(&self, files: Files<'_>) -> bool {
        self.digest == files.library
            && self.manifest == store::digest(files.manifest)
            && self.env == files.env.map(store::digest)
            && self.assets == files.assets.map(store::digest)
    }
}
