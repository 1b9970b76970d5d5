//! Which folders are watched, and whom they concern.
//!
//! Each function's folder is watched by itself, and so are the folders in it, and those that links in it lead to. What is no function's
//! folder is not watched, however large it is, and one that cannot be watched costs no other.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

use super::pending::Concerned;
use crate::catalog::deploy::{MANIFEST, is_ignored};
use crate::catalog::folder_file;

/// More folders of a function are not watched: it cannot have so many, or changes in them are found by rescans.
const MAX_FOLDERS: usize = 10_000;

/// Where events come from, and where they are sent.
pub(super) struct Watches {
    watcher: RecommendedWatcher,
    /// The functions folder, by the name that it was given.
    folder: PathBuf,
    secrets_file: Option<PathBuf>,
    /// What that name stands for now.
    root: Option<Root>,
    /// Whom each watched folder below or outside of it concerns.
    concerned: HashMap<PathBuf, BTreeSet<Concerned>>,
    /// The folders that are watched for each of them.
    watched: BTreeMap<Concerned, BTreeSet<PathBuf>>,
}

/// The functions folder: another one may take its place, or a link to it may lead elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Root {
    path: PathBuf,
    identity: (u64, u64),
}

impl Root {
    fn of(folder: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(folder)?;
        let found = fs::metadata(&path)?;
        Ok(Self { path, identity: (found.dev(), found.ino()) })
    }
}

pub(super) type Events = mpsc::UnboundedSender<notify::Result<Event>>;

impl Watches {
    /// Watches nothing yet.
    pub(super) fn new(folder: &Path, secrets_file: Option<&PathBuf>, events: Events) -> notify::Result<Self> {
        let watcher = notify::recommended_watcher(move |event| _ = events.send(event))?;
        let secrets_file = secrets_file.map(std::path::absolute).transpose()?;
        Ok(Self {
            watcher,
            folder: folder.to_owned(),
            secrets_file,
            root: None,
            concerned: HashMap::new(),
            watched: BTreeMap::new(),
        })
    }

    /// Watches what the functions folder is now; whether that is another one.
    ///
    /// # Errors
    /// Where it is not there, or cannot be watched: it has to be tried again.
    pub(super) fn follow_root(&mut self) -> notify::Result<bool> {
        let root = Root::of(&self.folder)?;
        if self.root.as_ref() == Some(&root) {
            return Ok(false);
        }
        if let Some(before) = self.root.take() {
            // It may be gone.
            let _ = self.watcher.unwatch(&before.path);
        }
        self.watcher.watch(&root.path, RecursiveMode::NonRecursive)?;
        self.root = Some(root);
        Ok(true)
    }

    /// Watches what these are made of now. A folder that was removed and made again has lost its watch: each is set
    /// again, which costs nothing where it is still there.
    ///
    /// # Errors
    /// The first of what cannot be watched.
    pub(super) fn follow(&mut self, what: &Concerned) -> notify::Result<()> {
        let folders = match what {
            Concerned::Name(name) => self.folders_of(name),
            Concerned::All => self.folders_of_secrets(),
        };
        let result = self.watch(what, &folders);
        let before = self.watched.insert(what.clone(), folders.clone()).unwrap_or_default();
        for folder in before.difference(&folders) {
            self.forget(folder, what);
        }
        result
    }

    /// Watches a folder that was made or moved to where folders are watched, and what is in it: it may be filled while its
    /// function is still waiting to be left alone.
    ///
    /// # Errors
    /// The first of what cannot be watched.
    pub(super) fn follow_new(&mut self, what: &Concerned, folder: &Path) -> notify::Result<()> {
        if !matches!(what, Concerned::Name(_)) || folder.file_name().is_none_or(is_ignored) {
            return Ok(());
        }
        let Ok(folder) = fs::canonicalize(folder) else { return Ok(()) };
        let mut folders = BTreeSet::new();
        add_folders(&folder, true, &mut folders);
        let result = self.watch(what, &folders);
        self.watched.entry(what.clone()).or_default().extend(folders);
        result
    }

    fn watch(&mut self, what: &Concerned, folders: &BTreeSet<PathBuf>) -> notify::Result<()> {
        let mut result = Ok(());
        for folder in folders {
            let watched = self.watcher.watch(folder, RecursiveMode::NonRecursive);
            if watched.is_ok() {
                self.concerned.entry(folder.clone()).or_default().insert(what.clone());
            }
            result = result.and(watched);
        }
        result
    }

    fn forget(&mut self, folder: &Path, what: &Concerned) {
        let Some(concerned) = self.concerned.get_mut(folder) else { return };
        concerned.remove(what);
        if concerned.is_empty() {
            self.concerned.remove(folder);
            if self.root.as_ref().is_none_or(|root| root.path != folder) {
                // It may be gone.
                let _ = self.watcher.unwatch(folder);
            }
        }
    }

    /// A function's folder, those in it, and where links in it lead; none of what is no function's folder.
    fn folders_of(&self, name: &str) -> BTreeSet<PathBuf> {
        let path = self.folder.join(name);
        let mut folders = BTreeSet::new();
        if folder_file::FILES.contains(&name) {
            folders.extend(link_target(&path));
            return folders;
        }
        let Some((_, version)) = name.split_once('@') else { return folders };
        if version.parse::<fezz_manifest::Version>().is_err() {
            return folders;
        }
        if let Ok(folder) = fs::canonicalize(&path) {
            let is_function = folder.join(MANIFEST).exists();
            add_folders(&folder, is_function, &mut folders);
        }
        folders
    }

    /// Where the secrets file is, and where it is by a link.
    fn folders_of_secrets(&self) -> BTreeSet<PathBuf> {
        let Some(file) = &self.secrets_file else { return BTreeSet::new() };
        let own = file.parent().and_then(|folder| fs::canonicalize(folder).ok());
        own.into_iter().chain(link_target(file)).collect()
    }

    /// Whom an event concerns.
    pub(super) fn concerned(&self, event: &Event) -> BTreeSet<Concerned> {
        event.paths.iter().flat_map(|path| self.concerned_by(path)).collect()
    }

    fn concerned_by(&self, path: &Path) -> BTreeSet<Concerned> {
        let mut concerned = BTreeSet::new();
        let folder = path.parent().unwrap_or(path);
        if self.root.as_ref().is_some_and(|root| root.path == folder) {
            concerned.extend(self.entry_of_root(path));
        }
        if self.root.as_ref().is_some_and(|root| root.path == path) {
            // Its permissions, perhaps.
            concerned.insert(Concerned::All);
        }
        // The watched folder itself, or something in it.
        for folder in [path, folder] {
            for what in self.concerned.get(folder).into_iter().flatten() {
                if *what != Concerned::All || self.is_about_secrets(path) {
                    concerned.insert(what.clone());
                }
            }
        }
        concerned
    }

    /// Hidden entries are passed over, but a link among them may lead to all the others, as `..data` does where
    /// Kubernetes mounts a volume.
    fn entry_of_root(&self, path: &Path) -> Option<Concerned> {
        let name = path.file_name()?.to_str()?;
        if !name.starts_with('.') {
            return Some(Concerned::Name(name.to_owned()));
        }
        is_link(path).then_some(Concerned::All)
    }

    /// Whether something may have happened to the secrets file, in a folder that may hold much else.
    fn is_about_secrets(&self, path: &Path) -> bool {
        let Some(file) = &self.secrets_file else { return false };
        path.file_name() == file.file_name()
            || is_link(path)
            || fs::canonicalize(file).is_ok_and(|target| target == path)
    }
}

/// Adds a folder, those that links in it lead to, and if it is a function's, all that are in it, each once.
fn add_folders(top: &Path, is_function: bool, folders: &mut BTreeSet<PathBuf>) {
    let (mut seen, mut todo) = (HashSet::new(), vec![top.to_owned()]);
    while let Some(folder) = todo.pop() {
        if seen.len() >= MAX_FOLDERS || !seen.insert(folder.clone()) {
            continue;
        }
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if is_function && !is_ignored(&entry.file_name()) {
                    todo.push(entry.path());
                }
            } else if kind.is_symlink() {
                let Ok(target) = fs::canonicalize(entry.path()) else { continue };
                folders.extend(target.parent().map(Path::to_owned));
                // Links to elsewhere are refused.
                if is_function && target.starts_with(top) && target.is_dir() {
                    todo.push(target);
                }
            }
        }
        folders.insert(folder);
    }
}

fn is_link(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink())
}

/// The folder of what a link leads to, in the end; none of what is no link.
fn link_target(path: &Path) -> Option<PathBuf> {
    if !is_link(path) {
        return None;
    }
    Some(fs::canonicalize(path).ok()?.parent()?.to_owned())
}
