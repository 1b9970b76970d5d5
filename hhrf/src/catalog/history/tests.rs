//! Histories and their collection, on disk.

use std::collections::HashSet;

use super::*;
use crate::catalog::store;
use crate::function::FunctionKey;

struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    history: History,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let history = History::of(folder.path(), store.clone());
        Self { folder, store, history }
    }

    /// Deploys a library with these bytes; its `fezz.json` has the same.
    fn deploy(&self, name: &str, settings: u64, library: &str) -> PathBuf {
        let digest = store::digest(library.as_bytes());
        let (id, version) = name.split_once('@').unwrap();
        let key = FunctionKey {
            id: id.to_owned(),
            version: version.to_owned(),
            digest,
            assets: None,
            settings,
            name: name.to_owned(),
        };
        let target = self.store.path(&key);
        let path = Store::stage(target, library.as_bytes()).unwrap().admit().unwrap();
        let manifest = format!("manifest of {library}");
        let files = Files { library: digest, manifest: manifest.as_bytes(), env: Some(b"A=1"), assets: None };
        self.history.serving(name, files).unwrap();
        path
    }

    fn collect(&self, in_use: &[&PathBuf], aliased: impl Fn(&str) -> bool) -> collect::Collected {
        let in_use = in_use.iter().map(|path| (*path).clone()).collect::<HashSet<_>>();
        let collector = Collector::new(self.history.clone(), self.store.clone());
        collector.collect(&in_use, aliased).unwrap().expect("nobody else uses the store")
    }
}

#[test]
fn the_last_ten_deployments_are_kept_with_what_they_need() {
    let all = Fixture::new();
    let libraries: Vec<_> =
        (0..15).map(|build| all.deploy("f@1.0.0", 0, &format!("build {build}"))).collect();
    let records = all.history.records("f@1.0.0").unwrap();
    assert_eq!(records.iter().map(|record| record.number).collect::<Vec<_>>(), (6..=15).collect::<Vec<_>>());
    let collected = all.collect(&[&libraries[0]], |_| false);
    assert_eq!((collected.libraries, collected.files), (4, 5), "those before, but one that is in use");
    assert!(libraries[0].exists() && libraries[5..].iter().all(|library| library.exists()));
    for record in records {
        let build = record.build().unwrap();
        assert!(all.store.library(build.digest).is_ok() && all.store.kept(build.manifest).is_ok());
        assert_eq!(all.store.kept(build.env.unwrap()).unwrap(), b"A=1");
    }
}

#[test]
fn the_same_again_is_no_deployment_and_what_came_back_is_one() {
    let all = Fixture::new();
    for library in ["a", "a", "b", "a"] {
        all.deploy("f@1.0.0", 0, library);
    }
    assert_eq!(all.history.records("f@1.0.0").unwrap().len(), 3);
    let (last, at) = all.history.last_good("f@1.0.0").unwrap().unwrap();
    assert_eq!(last.digest, store::digest(b"a"));
    assert!(at.is_some());
    assert_eq!(all.history.deployed().unwrap(), ["f@1.0.0"]);
    all.history.undeployed("f@1.0.0").unwrap();
    all.history.undeployed("f@1.0.0").unwrap();
    assert_eq!(all.history.records("f@1.0.0").unwrap().len(), 4);
    assert!(
        all.history.last_good("f@1.0.0").unwrap().is_none() && all.history.deployed().unwrap().is_empty()
    );
}

#[test]
fn copies_for_former_settings_are_collected() {
    let all = Fixture::new();
    let former = all.deploy("f@1.0.0", 1, "a");
    let in_use = all.deploy("f@1.0.0", 2, "a");
    // Times of files move with the kernel's tick.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let latest = all.deploy("f@1.0.0", 3, "a");
    let other = all.deploy("g@1.0.0", 4, "a");
    assert_eq!(all.collect(&[&in_use], |_| false).libraries, 1);
    assert!(!former.exists() && in_use.exists() && latest.exists() && other.exists());
}

#[test]
fn a_version_that_ends_like_settings_is_not_taken_for_them() {
    let all = Fixture::new();
    let library = all.deploy("f@1.0.0+0123456789abcdef", 0, "a");
    assert_eq!(all.collect(&[], |_| false), collect::Collected::default());
    assert!(library.exists());
}

#[test]
fn of_versions_that_are_gone_the_latest_stay_and_those_with_an_alias() {
    let all = Fixture::new();
    for version in 10..25 {
        let name = format!("f@1.0.{version}");
        all.deploy(&name, 0, &name);
        all.history.undeployed(&name).unwrap();
    }
    all.deploy("f@2.0.0", 0, "deployed");
    let collected = all.collect(&[], |name| name == "f@1.0.10");
    assert_eq!(collected.histories, 4, "fourteen without an alias, but ten");
    assert!(all.history.file("f@1.0.10").exists() && all.history.file("f@2.0.0").exists());
    assert!(!all.history.file("f@1.0.11").exists());
    assert_eq!(collected.libraries, 4);
}

#[test]
fn nothing_is_collected_while_another_process_uses_the_store() {
    let all = Fixture::new();
    let library = all.deploy("f@1.0.0", 0, "a");
    std::fs::remove_file(all.history.file("f@1.0.0")).unwrap();
    let other = Collector::new(all.history.clone(), all.store.clone());
    let own = Collector::new(all.history.clone(), all.store.clone());
    assert_eq!(own.collect(&HashSet::new(), |_| false).unwrap(), None);
    assert!(library.exists());
    drop(other);
    assert_eq!(own.collect(&HashSet::new(), |_| false).unwrap().unwrap().libraries, 1);
}

#[test]
fn lines_that_are_none_are_passed_over() {
    let all = Fixture::new();
    all.deploy("f@1.0.0", 0, "a");
    let file = all.history.file("f@1.0.0");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{{\"number\":\n\n{text}{{\"outcome\":\"dreamt\"}}\n")).unwrap();
    assert!(all.history.last_good("f@1.0.0").unwrap().is_some());
    assert!(all.folder.path().join("history").exists());
}
