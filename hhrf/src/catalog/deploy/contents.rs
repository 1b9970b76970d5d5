//! What a function is made of: its files and secrets, as they are in its folder, or as they were by its history.

use std::path::Path;

use fezz_manifest::{Manifest, Problems, RouteTable};
use fezz_runtime::{Digest, Variables};

use super::variables::{self, Secrets, SecretsSource};
use super::{DeployError, MANIFEST, dropped, expect_digest};
use crate::catalog::history::{Build, Files};
use crate::catalog::store::{self, Store};

/// All that a function is made of.
#[derive(Debug)]
pub(in crate::catalog) struct Contents {
    pub(super) manifest: Manifest,
    pub(super) routes: RouteTable,
    pub(super) variables: Variables,
    pub(super) library: Vec<u8>,
    pub(super) digest: Digest,
    manifest_text: Vec<u8>,
    env_text: Option<Vec<u8>>,
    /// The part of the variables that no file of the folder has.
    pub(in crate::catalog) secrets: Secrets,
}

impl Contents {
    /// Reads the folder of the function `name`.
    pub(super) fn of_folder(folder: &Path, name: &str, source: &SecretsSource) -> Result<Self, DeployError> {
        let manifest_text = dropped::read(folder, MANIFEST).map_err(DeployError::ReadManifest)?;
        let (manifest, routes) = parse(&manifest_text, name)?;
        let env_text = variables::read_env(folder)?;
        let secrets = variables::secrets(&manifest.secrets, source)?;
        let variables = variables::gather(&manifest, env_text.as_deref(), &secrets)?;
        let file = manifest.library_file_name();
        let library =
            dropped::read(folder, &file).map_err(|source| DeployError::ReadLibrary { file, source })?;
        let digest = expect_digest(&manifest, store::digest(&library))?;
        Ok(Self { manifest, routes, variables, library, digest, manifest_text, env_text, secrets })
    }

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
        Ok(Self {
            manifest,
            routes,
            variables,
            library,
            digest: build.digest,
            manifest_text,
            env_text,
            secrets,
        })
    }

    /// The files that a record needs.
    pub(in crate::catalog) fn files(&self) -> Files<'_> {
        Files { manifest: &self.manifest_text, env: self.env_text.as_deref() }
    }
}

fn parse(text: &[u8], name: &str) -> Result<(Manifest, RouteTable), DeployError> {
    let manifest = Manifest::parse(text)?;
    Problems::check(manifest.check_folder(name))?;
    let routes = RouteTable::new(&manifest.routes)?;
    Ok((manifest, routes))
}
