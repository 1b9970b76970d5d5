//! The store: private copies of libraries that are never rewritten, because a mapped file must not change.
//!
//! `<state>/store/<sha256>/<id>@<version>.so`. A copy lies under its digest, so that new code always has a new path
//! (`dlopen` answers with the old code for a path that it knows), and under the function's name, so that two functions
//! built into one library have statics of their own. A library is in the store only if it passed its probe.
//!
//! A function with assets has a folder there instead of a file, `<id>@<version>+<digest of the assets>/`, in which links to
//! them are beside the library.
//!
//! `<state>/store/files/<sha256>`: what else a deployment consisted of, for the history.

mod blobs;
mod listing;
mod trees;

use std::fs::{self, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use fezz_runtime::Digest;
use sha2::{Digest as _, Sha256};

use super::{durable, ownership};
use crate::function::FunctionKey;
pub(super) use blobs::StagedBlob;
use blobs::Verified;
pub(super) use listing::{Content, Entry, Listing};

/// The store's folder.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    root: PathBuf,
    verified: Verified,
}

/// A library in the store.
#[derive(Debug)]
pub(super) struct StoredLibrary {
    pub(super) path: PathBuf,
    /// The file's name without its suffix.
    pub(super) stem: String,
    /// `id@version`: the same without the settings.
    pub(super) function: String,
    /// When it was deployed last.
    pub(super) used: SystemTime,
}

/// A library that has been copied but not yet admitted.
#[derive(Debug)]
pub(crate) struct Staged {
    path: PathBuf,
    target: PathBuf,
}

impl Store {
    /// Opens the store below `state`, which only this user may read.
    pub(crate) fn open(state: &Path) -> io::Result<Self> {
        let root = state.join("store");
        ownership::private_folder(&root)?;
        sweep(&root);
        // A relative path would be searched for in the loader's own way, and break with the working directory.
        Ok(Self { root: fs::canonicalize(root)?, verified: Verified::default() })
    }

    /// Where the copy of this library for this function lies, or would lie. Other settings are another copy, since
    /// they are read into statics that a library keeps for good; and so are other assets, beside which it stands.
    pub(crate) fn path(&self, key: &FunctionKey) -> PathBuf {
        let settings = if key.settings == 0 { String::new() } else { format!("+{:016x}", key.settings) };
        let stem = format!("{}{settings}", key.name);
        let file = format!("{stem}{}", std::env::consts::DLL_SUFFIX);
        let folder = self.root.join(key.digest.to_string());
        let folder =
            key.assets.map_or_else(|| folder.clone(), |assets| folder.join(format!("{stem}+{assets}")));
        folder.join(file)
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Keeps a file for the history, under its digest.
    pub(super) fn keep(&self, data: &[u8]) -> io::Result<Digest> {
        let digest = digest(data);
        let path = self.file(digest);
        if !Self::holds(&path, data) {
            ownership::private_folder(&self.root.join(FILES))?;
            durable::replace(&path, data)?;
        }
        Ok(digest)
    }

    /// A file that was kept.
    pub(super) fn kept(&self, expected: Digest) -> io::Result<Vec<u8>> {
        let path = self.file(expected);
        ownership::private(&path)?;
        check(fs::read(path)?, expected)
    }

    /// Where a file is kept.
    pub(super) fn file(&self, digest: Digest) -> PathBuf {
        self.root.join(FILES).join(digest.to_string())
    }

    /// The digests of all files that are kept.
    pub(super) fn files(&self) -> io::Result<Vec<Digest>> {
        digests(&self.root.join(FILES))
    }

    /// The bytes of a library, from any copy of it.
    pub(super) fn library(&self, expected: Digest) -> io::Result<Vec<u8>> {
        let mut failed = io::Error::from(io::ErrorKind::NotFound);
        for StoredLibrary { path, .. } in self.copies(expected)? {
            let private = ownership::private(&path);
            match private.and_then(|()| fs::read(path)).and_then(|data| check(data, expected)) {
                Ok(data) => return Ok(data),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// All libraries, by digest.
    pub(super) fn libraries(&self) -> io::Result<Vec<(Digest, Vec<StoredLibrary>)>> {
        digests(&self.root)?.into_iter().map(|digest| Ok((digest, self.copies(digest)?))).collect()
    }

    fn copies(&self, digest: Digest) -> io::Result<Vec<StoredLibrary>> {
        let folder = self.root.join(digest.to_string());
        let mut copies = copies_in(&folder)?;
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                copies.extend(copies_in(&entry.path())?);
            }
        }
        Ok(copies)
    }

    /// Removes the folders of copies that have been removed. Nothing else may use the store.
    pub(super) fn remove_empty_folders(&self, digest: Digest) -> io::Result<()> {
        let folder = self.root.join(digest.to_string());
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() && copies_in(&entry.path())?.is_empty() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        // Fails while there is anything left in it.
        let _ = fs::remove_dir(folder);
        Ok(())
    }

    /// Whether the store holds exactly these bytes at `path`, and nobody else can change them.
    pub(crate) fn holds(path: &Path, data: &[u8]) -> bool {
        let same_length = fs::metadata(path).is_ok_and(|found| found.len() == data.len() as u64);
        same_length && ownership::private(path).is_ok() && fs::read(path).is_ok_and(|found| found == data)
    }

    /// Writes the bytes beside their target, down to the disk.
    pub(crate) fn stage(target: PathBuf, data: &[u8]) -> io::Result<Staged> {
        let folder = target.parent().unwrap_or(Path::new("."));
        ownership::private_folder(folder)?;
        ownership::private(folder)?;
        let path = target.with_extension(random_name());
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let staged = Staged { path, target };
        file.write_all(data)?;
        file.set_permissions(Permissions::from_mode(0o400))?;
        file.sync_all()?;
        Ok(staged)
    }
}

impl Staged {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Puts the copy in its place.
    pub(crate) fn admit(self) -> io::Result<PathBuf> {
        fs::rename(&self.path, &self.target)?;
        Ok(self.target.clone())
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Gone already where it was admitted.
        let _ = fs::remove_file(&self.path);
    }
}

/// Holds the files of the history.
const FILES: &str = "files";

/// The part of a stored library's name in front of its settings, which are 16 hex digits.
fn without_settings(stem: &str) -> &str {
    let is_settings = |text: &str| text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    stem.rsplit_once('+').filter(|(_, last)| is_settings(last)).map_or(stem, |(name, _)| name)
}

/// The libraries in a folder. Links are not among them: they lead to assets.
fn copies_in(folder: &Path) -> io::Result<Vec<StoredLibrary>> {
    let mut copies = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some(stem) = name.strip_suffix(std::env::consts::DLL_SUFFIX) else { continue };
        if entry.file_type()?.is_file() {
            copies.push(StoredLibrary {
                path: entry.path(),
                function: without_settings(stem).to_owned(),
                stem: stem.to_owned(),
                used: entry.metadata()?.modified()?,
            });
        }
    }
    Ok(copies)
}

/// The entries of a folder; none where there is no folder.
fn entries(folder: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        entries => Ok(Some(entries?).into_iter().flatten()),
    }
}

/// The entries of a folder that are named by a digest; none where there is no folder.
fn digests(folder: &Path) -> io::Result<Vec<Digest>> {
    let names = entries(folder)?.map(|entry| Ok(entry?.file_name()));
    let digests = names.map(|name: io::Result<_>| Ok(name?.to_str().and_then(|name| name.parse().ok())));
    digests.filter_map(Result::transpose).collect()
}

/// The data, if it is what was asked for.
fn check(data: Vec<u8>, expected: Digest) -> io::Result<Vec<u8>> {
    if digest(&data) == expected { Ok(data) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// The name of something that is not whole yet, or is about to be removed. Not the process id: hosts in two containers may
/// have the same.
fn random_name() -> String {
    format!("{:016x}{STAGED_SUFFIX}", RandomState::new().build_hasher().finish())
}

/// What the names of staged libraries end with.
const STAGED_SUFFIX: &str = ".new";
/// A probe takes at most an hour, so that a staged library of this age was left by a host that was killed.
const LEFT_BEHIND: Duration = Duration::from_secs(2 * 3_600);

/// Removes staged libraries that were left behind. What cannot be removed is only in the way of tidiness.
fn sweep(root: &Path) {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    for folder in entries(root).filter(|folder| folder.file_name() != trees::TREES) {
        let copies = || entries(&folder.path());
        // The libraries of functions with assets are a folder deeper, beside links.
        for file in copies().chain(copies().flat_map(|folder| entries(&folder.path()))) {
            let is_staged = file.file_name().to_string_lossy().ends_with(STAGED_SUFFIX)
                && file.file_type().is_ok_and(|kind| kind.is_file());
            let modified = file.metadata().and_then(|found| found.modified()).ok();
            let age = modified.and_then(|time| time.elapsed().ok());
            if is_staged && age.is_some_and(|age| age > LEFT_BEHIND) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

/// SHA-256 of these bytes.
pub(crate) fn digest(data: &[u8]) -> Digest {
    Digest::new(Sha256::digest(data).into())
}
