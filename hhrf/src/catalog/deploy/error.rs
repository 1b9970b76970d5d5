//! Why a folder is not served as it is, and how that is logged.

use std::io;
use std::path::Path;
use std::time::Duration;

use fezz_manifest::{Problem, Problems};
use fezz_runtime::Digest;

use super::assets::AssetsError;
use super::library_headers::HeaderError;
use super::probe::ProbeError;
use super::variables::VariablesError;
use super::{MANIFEST, Took};
use crate::catalog::NotActivated;

/// Why a folder is not served, or not in its latest state.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeployError {
    #[error("its folder cannot be read: {0}")]
    ReadFolder(#[source] io::Error),
    #[error("its files are changing")]
    Changing,
    #[error("{MANIFEST} cannot be read: {0}")]
    ReadManifest(#[source] io::Error),
    #[error("{MANIFEST}: {0}")]
    Manifest(#[from] Problems),
    #[error("its library `{file}` cannot be read: {source}")]
    ReadLibrary { file: String, source: io::Error },
    #[error(
        "the library is not the one that {MANIFEST} is about: `sha256` is {expected}, the library's {found}"
    )]
    OtherDigest { expected: String, found: Digest },
    #[error(transparent)]
    Variables(#[from] VariablesError),
    #[error(transparent)]
    Assets(#[from] AssetsError),
    #[error(transparent)]
    Headers(#[from] HeaderError),
    #[error("it cannot be copied to the store: {0}")]
    Store(#[source] io::Error),
    #[error(transparent)]
    Probe(#[from] ProbeError),
    #[error("{reason}; this very library was refused before, so it was not tried again")]
    KnownBad { reason: String },
    /// Its probe has failed before, in a way that may pass, and it is too early to try again.
    #[error("{reason}")]
    Resting { reason: String, again: Duration },
    #[error(transparent)]
    Activate(#[from] NotActivated),
    #[error("its data directory cannot be made: {0}")]
    Data(#[source] io::Error),
}

impl DeployError {
    /// Whether the library's bytes decide it: deploying them again would fail again.
    pub(super) const fn is_the_librarys(&self) -> bool {
        matches!(self, Self::Headers(_) | Self::Probe(ProbeError::Unfit(_)))
    }

    /// Whether the same folder may succeed later: a disk is full, a file is being written, a probe was killed, `fezz_init`
    /// needs a server that is down.
    pub(in crate::catalog) const fn may_pass(&self) -> bool {
        if let Self::Assets(error) = self {
            return error.may_pass();
        }
        let of_the_moment = matches!(
            self,
            Self::ReadFolder(_)
                | Self::Changing
                | Self::ReadManifest(_)
                | Self::Variables(VariablesError::Read { .. })
                | Self::ReadLibrary { .. }
                | Self::Store(_)
                | Self::Data(_)
                | Self::Probe(_)
                | Self::Resting { .. }
                | Self::Activate(_)
        );
        of_the_moment && !self.is_the_librarys()
    }
}

/// One log line for each problem, with its file and, if there is one, its JSON path. `serving` is the build that serves
/// on.
pub(in crate::catalog) fn report(
    folder: &Path,
    name: &str,
    error: &DeployError,
    serving: Option<Digest>,
    took: Took,
) {
    let (took_ms, probe_ms) = took.millis();
    let folder = folder.join(name);
    let file = folder.join(MANIFEST);
    let state = serving.map_or_else(
        || "not served".to_owned(),
        |digest| format!("not deployed, {} serves on", digest.short()),
    );
    match error {
        DeployError::Manifest(problems) => {
            for Problem { path, message } in problems.iter() {
                tracing::error!(function = name, file = %file.display(), path, "{state}: {message}");
            }
        }
        DeployError::ReadManifest(_) => {
            tracing::error!(function = name, file = %file.display(), "{state}: {error}");
        }
        _ => {
            tracing::error!(
                function = name,
                file = %folder.display(),
                took_ms,
                probe_ms,
                "{state}: {error}"
            );
        }
    }
}
