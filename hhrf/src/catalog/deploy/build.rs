//! Making a function of its contents: its library is admitted to the store, its limits and isolation are settled.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fezz_isolation::host::Plan;
use fezz_manifest::Manifest;
use fezz_runtime::sys::crash_record;
use fezz_runtime::{Digest, Variables};

use super::failures::BadLibrary;
use super::probe::Subject;
use super::{Contents, DeployError, Deployer, Known, library_headers, private_libraries};
use crate::catalog::ownership;
use crate::catalog::store::{Listing, Store};
use crate::function::{Assets, Calls, CorsPolicy, Function, FunctionKey, Limits, Retirement, Tag};

impl Deployer {
    /// Makes a function of its contents.
    pub(super) async fn build(
        &self,
        name: &str,
        contents: &Contents,
        known: &mut Known,
    ) -> Result<Function, DeployError> {
        self.policy.check(&contents.manifest)?;
        let quarantined = self.quarantined(name, contents.digest);
        if quarantined.is_some() && self.quarantine_isolates {
            match self.build_with(name, contents, quarantined.clone(), true, known).await {
                Ok(function) => return Ok(function),
                Err(error) => {
                    let reason = quarantined.unwrap_or_default();
                    let reason = format!("{reason}; it cannot run in worker processes: {error}");
                    return self.build_with(name, contents, Some(reason), false, known).await;
                }
            }
        }
        self.build_with(name, contents, quarantined, false, known).await
    }

    async fn build_with(
        &self,
        name: &str,
        contents: &Contents,
        quarantined: Option<String>,
        isolates: bool,
        known: &mut Known,
    ) -> Result<Function, DeployError> {
        let Contents { manifest, routes, variables, library, digest, assets, .. } = contents;
        let isolation = self.isolation.plan(manifest, isolates);
        let key = FunctionKey {
            name: name.to_owned(),
            id: manifest.id.clone(),
            version: manifest.version.to_string(),
            digest: *digest,
            assets: assets.as_ref().map(Listing::digest),
            settings: fingerprint(variables, isolation.as_ref()),
        };
        let assets = assets.as_ref().map(|assets| self.place(&key, library, assets)).transpose()?;
        let subject = Subject::new(&key, assets.as_ref(), variables);
        let library = self.admit(&key, subject, isolation.as_ref(), library, known).await?;
        let limits = self.limits(manifest);
        let entry = crash_record::entry(&key.name, key.digest);
        let (tag, key) = (Tag::of(&key), Arc::new(key));
        Ok(Function {
            route_stats: known.stats.of_routes(routes),
            tag,
            version: manifest.version.clone(),
            data_dir: self.data_dir(&key.id)?,
            calls: Calls::new(limits.max_concurrency),
            stats: Arc::clone(&known.stats),
            number: entry.number(),
            _entry: entry,
            _retirement: Retirement::new(Arc::clone(&key), self.dropped.clone()),
            key,
            routes: routes.clone(),
            // In worker processes its crashes cost single requests.
            quarantined: quarantined.filter(|_| isolation.is_none()),
            isolation,
            swap: manifest.swap,
            cors: manifest.cors.as_ref().map(CorsPolicy::new),
            variables: variables.clone(),
            assets,
            library,
            limits,
        })
    }

    /// Has the assets be in the store, and beside the library's place.
    fn place(&self, key: &FunctionKey, data: &[u8], listing: &Listing) -> Result<Assets, DeployError> {
        let place = || {
            let folder = self.store.tree(listing)?;
            let library = self.store.path(key);
            self.store.link_tree(library.parent().unwrap_or(&library), listing.digest())?;
            Ok(folder)
        };
        let (files, bytes) = (listing.files().count(), listing.bytes());
        let folder = place().map_err(DeployError::Store)?;
        let libraries = private_libraries::find(data, listing, &self.store);
        Ok(Assets { folder, digest: listing.digest(), files, bytes, libraries })
    }

    /// Brings the library into the store. One that is there has passed its probe before.
    async fn admit(
        &self,
        key: &FunctionKey,
        subject: Subject<'_>,
        isolation: Option<&Plan>,
        data: &[u8],
        known: &mut Known,
    ) -> Result<PathBuf, DeployError> {
        let target = self.store.path(key);
        if Store::holds(&target, data) {
            return Ok(target);
        }
        let bad = known.bad.as_ref().filter(|bad| bad.is(key));
        bad.map_or(Ok(()), BadLibrary::check)?;
        let failures = bad.map_or(0, |bad| bad.failures) + 1;
        let passed = self.examine(&target, subject, isolation, data, &mut known.probe).await;
        known.bad = passed.as_ref().err().and_then(|error| BadLibrary::new(key, error, failures));
        passed
    }

    async fn examine(
        &self,
        target: &Path,
        subject: Subject<'_>,
        isolation: Option<&Plan>,
        data: &[u8],
        probe: &mut Duration,
    ) -> Result<PathBuf, DeployError> {
        library_headers::check(data)?;
        let staged = Store::stage(target.to_owned(), data).map_err(DeployError::Store)?;
        let subject = subject.with_library(staged.path());
        let begin = Instant::now();
        let verdict = self.prober.check(subject, isolation).await;
        *probe = begin.elapsed();
        verdict?;
        staged.admit().map_err(DeployError::Store)
    }

    /// Why this build is in quarantine, if it is.
    fn quarantined(&self, name: &str, digest: Digest) -> Option<String> {
        let digest = digest.to_string();
        let quarantined = self.quarantined.load();
        let found = quarantined.iter().find(|found| found.name == name && found.digest == digest);
        found.map(|found| found.reason.clone())
    }

    fn data_dir(&self, id: &str) -> Result<PathBuf, DeployError> {
        let folder = self.data.join(id);
        ownership::private_folder(&folder).map_err(DeployError::Data)?;
        Ok(folder)
    }

    fn limits(&self, manifest: &Manifest) -> Limits {
        let defaults = &self.defaults;
        let millis = |own: Option<u64>, default| own.map_or(default, Duration::from_millis);
        Limits {
            timeout: millis(manifest.timeout_ms, defaults.timeout),
            max_body_bytes: manifest.max_body_bytes.unwrap_or(defaults.max_body_bytes),
            max_concurrency: manifest
                .max_concurrency
                .map_or(defaults.max_concurrency, |limit| limit as usize),
            max_queue: manifest.max_queue.map(|limit| limit as usize).or(defaults.max_queue),
            queue_wait: millis(manifest.queue_ms, defaults.queue_wait),
            max_response_bytes: manifest.max_response_bytes.unwrap_or(defaults.max_response_bytes),
            max_upgrades: manifest.max_upgrades.map_or(defaults.max_upgrades, |limit| limit as usize),
            upgrade_idle: manifest.upgrade_idle_ms.map_or(defaults.upgrade_idle, positive_millis),
        }
    }
}

/// 0 is no limit.
fn positive_millis(millis: u64) -> Option<Duration> {
    Some(Duration::from_millis(millis)).filter(|limit| !limit.is_zero())
}

/// Fingerprint of what statics may have been initialised from. Another isolation is other code, too.
fn fingerprint(variables: &Variables, isolation: Option<&Plan>) -> u64 {
    let variables = variables.fingerprint();
    isolation.map_or(variables, |plan| {
        let mut hasher = DefaultHasher::new();
        (variables, plan).hash(&mut hasher);
        hasher.finish()
    })
}
