//! What a function is made of: its files and secrets, as they are in its folder, or as they were by its history.

use std::sync::Arc;

use fezz_manifest::{Manifest, Problems, RouteTable};
use fezz_runtime::{Digest, Variables};

use super::variables::{self, Secrets};
use super::{DeployError, Deployer, Known, MANIFEST, assets, dropped, expect_digest};
use crate::catalog::history::{Build, Files};
use crate::catalog::store::{self, Listing, Store};

/// All that a function is made of.
#[derive(Debug)]
pub(in crate::catalog) struct Contents {
    pub(super) manifest: Manifest,
    pub(super) routes: RouteTable,
    pub(super) variables: Variables,
    pub(super) library: Vec<u8>,
    pub(super) digest: Digest,
    /// The files beside the library, if there are any; the store has them.
    pub(super) assets: Option<Listing>,
    manifest_text: Vec<u8>,
    env_text: Option<Vec<u8>>,
    /// The part of the variables that no file of the folder has.
    pub(in crate::catalog) secrets: Secrets,
}

impl Deployer {
    /// Reads the folder of the function `name`.
    pub(super) fn contents(&self, name: &str, known: &mut Known) -> Result<Contents, DeployError> {
        let folder = &self.folder.join(name);
        let manifest_text = dropped::read(folder, MANIFEST).map_err(DeployError::ReadManifest)?;
        let (manifest, routes) = parse(&manifest_text, name)?;
        let env_text = variables::read_env(folder)?;
        let secrets = variables::secrets(&manifest.secrets, &self.secrets)?;
        let variables = variables::gather(&manifest, env_text.as_deref(), &secrets)?;
        let file = manifest.library_file_name();
        let library = dropped::read(folder, &file)
            .map_err(|source| DeployError::ReadLibrary { file: file.clone(), source })?;
        let digest = expect_digest(&manifest, store::digest(&library))?;
        let mut digests = Arc::unwrap_or_clone(std::mem::take(&mut known.assets));
        let assets = assets::read(folder, &file, self.assets, &mut digests, &self.store);
        known.assets = Arc::new(digests);
        let assets = assets?;
        Ok(Contents {
            manifest,
            routes,
            variables,
            library,
            digest,
            assets,
            manifest_text,
            env_text,
            secrets,
        })
    }
}

impl Contents {
    /// What the function `name` was made of by this record.
    pub(super) fn of_record(
        store: &Store,
        name: &str,
        build: &Build,
        secrets: Secrets,
    ) -> Result<Self, DeployError> {
        let kept = |digest| store.kept(digest).map_err(DeployError::Store);
        let manifest_text = kept(build.manifest)?;
        let (manifest, routes) = parse(&manifest_text, name)?;
        let env_text = build.env.map(kept).transpose()?;
        let variables = variables::gather(&manifest, env_text.as_deref(), &secrets)?;
        let library = store.library(build.digest).map_err(DeployError::Store)?;
        let assets = build.assets.map(|digest| Listing::parse(&kept(digest)?).map_err(DeployError::Store));
        Ok(Self {
            manifest,
            routes,
            variables,
            library,
            digest: build.digest,
            assets: assets.transpose()?,
            manifest_text,
            env_text,
            secrets,
        })
    }

    /// The files that a record needs.
    pub(in crate::catalog) fn files(&self) -> Files<'_> {
        Files {
            library: self.digest,
            manifest: &self.manifest_text,
            env: self.env_text.as_deref(),
            assets: self.assets.as_ref().map(Listing::text),
        }
    }
}

fn parse(text: &[u8], name: &str) -> Result<(Manifest, RouteTable), DeployError> {
    let manifest = Manifest::parse(text)?;
    Problems::check(manifest.check_folder(name))?;
    let routes = RouteTable::new(&manifest.routes)?;
    Ok((manifest, routes))
}
