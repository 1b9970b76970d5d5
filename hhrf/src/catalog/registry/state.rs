//! What is known of all folders and of the files beside them, and how changes are taken over.

use std::collections::{BTreeMap, HashMap};

use fezz_manifest::{Aliases, Mounts};
use tokio::time::Instant;

use super::absence::Absence;
use super::deployment::Deployment;
use super::examine::Change;
use crate::catalog::Catalog;
use crate::catalog::folder_file::FolderFile;

/// Of all folders.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) deployments: BTreeMap<String, Deployment>,
    pub(super) aliases: FolderFile<Aliases>,
    pub(super) mounts: FolderFile<Mounts>,
    /// The number of the read whose texts were taken in last.
    pub(super) texts_taken: u64,
    /// Of those files that were in force and are missing.
    pub(super) file_absences: HashMap<&'static str, Absence>,
    /// Folders, and files beside them, that are to be looked at again, and when.
    pub(super) due: HashMap<String, Instant>,
}

impl State {
    /// Takes a change over; whether the catalog has to change too.
    pub(super) fn apply(&mut self, change: Change) -> bool {
        match change {
            Change::Gone { name } => {
                let gone = self.deployments.remove(&name);
                tracing::info!(function = name, "undeployed: its folder is gone");
                gone.is_some_and(|gone| gone.function.is_some())
            }
            Change::Later { name, at, known, absence, postponed, restored } => {
                let deployment = self.deployments.entry(name.clone()).or_default();
                deployment.known = known;
                deployment.absence = absence;
                deployment.postponed = postponed;
                self.due.insert(name, at);
                restored.is_some_and(|restored| deployment.restored(restored))
            }
            Change::Looked { name, fingerprint, known, took, result, restored, .. } => {
                let deployment = self.deployments.entry(name.clone()).or_default();
                deployment.fingerprint = fingerprint;
                deployment.known = known;
                deployment.absence = None;
                deployment.postponed = 0;
                match *result {
                    Ok(function) => deployment.deployed(function, took),
                    Err(error) => {
                        if let Some(delay) = deployment.failed(&error) {
                            self.due.insert(name, Instant::now() + delay);
                        }
                        restored.is_some_and(|restored| deployment.restored(restored))
                    }
                }
            }
        }
    }

    pub(super) fn check_aliases(&mut self) -> bool {
        let Self { deployments, aliases, .. } = self;
        aliases.check(|aliases| {
            aliases.check(|id, version| {
                let deployment = deployments.get(&format!("{id}@{version}"));
                deployment.is_some_and(|deployment| deployment.function.is_some())
            })
        })
    }

    /// After the aliases, which mounts may name.
    pub(super) fn check_mounts(&mut self) -> bool {
        let Self { deployments, aliases, mounts, .. } = self;
        mounts.check(|mounts| {
            let functions = deployments.values().filter_map(|deployment| deployment.function.clone());
            let catalog = Catalog::new(functions.collect(), aliases.in_force(), &Mounts::default());
            mounts.check(|| catalog.names().collect(), |name| !catalog.behind(name).is_empty())
        })
    }
}
