//! Why assets are not deployed.

use std::io;
use std::path::PathBuf;

use super::AssetLimits;

/// What is wrong with a function's assets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AssetsError {
    #[error("the folder `{}` in it cannot be read: {source}", path.display())]
    ReadFolder { path: PathBuf, source: io::Error },
    #[error("its file `{}` cannot be copied to the store: {source}", path.display())]
    Copy { path: PathBuf, source: io::Error },
    #[error("`{}` is a symbolic link that leads out of the function's folder; replace it by what it leads to", .0.display())]
    LinkOut(PathBuf),
    #[error("`{}` is a symbolic link to nothing; remove it", .0.display())]
    LinkToNothing(PathBuf),
    #[error("`{}` is a symbolic link that leads in a circle; remove it", .0.display())]
    LinkLoop(PathBuf),
    #[error("`{}` is {what}; only files and folders can be deployed, remove it", path.display())]
    NotAFile { path: PathBuf, what: &'static str },
    #[error(
        "there are more than {} files and folders beside its library; remove what does not belong to it, or raise \
         `max_assets_files`", .0.files
    )]
    TooMany(AssetLimits),
    #[error(
        "the files beside its library have more than {} bytes; remove what does not belong to it, or raise \
         `max_assets_bytes`", .0.bytes
    )]
    TooLarge(AssetLimits),
    #[error("`{}` is more than {} folders deep; raise `max_assets_depth` if that is right", path.display(), limits.depth)]
    TooDeep { path: PathBuf, limits: AssetLimits },
}

impl AssetsError {
    /// Whether the same folder may be deployed later.
    pub(in crate::catalog::deploy) const fn may_pass(&self) -> bool {
        matches!(self, Self::ReadFolder { .. } | Self::Copy { .. })
    }
}
