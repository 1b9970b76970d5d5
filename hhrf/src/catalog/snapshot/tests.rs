use std::path::PathBuf;
use std::time::Duration;

use fezz_manifest::{Methods, Route, RouteTable};

use super::*;
use fezz_runtime::{Digest, Variables};

use crate::function::{Calls, FunctionKey, Limits, Retirement, Stats, Swap, Tag};

fn function(name: &str) -> Arc<Function> {
    let (id, version) = name.split_once('@').unwrap();
    let key = FunctionKey {
        id: id.to_owned(),
        version: version.to_owned(),
        digest: Digest::new([7; 32]),
        assets: None,
        settings: 0,
        name: name.to_owned(),
    };
    let (stats, tag, key) = (Arc::<Stats>::default(), Tag::of(&key), Arc::new(key));
    Arc::new(Function {
        tag,
        version: version.parse().unwrap(),
        routes: RouteTable::new(&[Route { path: "/".to_owned(), methods: Methods::Any, upgrade: false }])
            .unwrap(),
        limits: Limits {
            timeout: Duration::from_secs(1),
            max_body_bytes: 1,
            max_concurrency: 1,
            max_queue: None,
            queue_wait: Duration::ZERO,
            max_response_bytes: 1,
            max_upgrades: 1,
            upgrade_idle: None,
        },
        cors: None,
        isolation: None,
        swap: Swap::default(),
        quarantined: None,
        number: 0,
        _entry: Default::default(),
        variables: Variables::default(),
        data_dir: PathBuf::new(),
        assets: None,
        library: PathBuf::new(),
        calls: Calls::new(1),
        route_stats: Vec::new(),
        stats,
        _retirement: Retirement::new(Arc::clone(&key), tokio::sync::mpsc::unbounded_channel().0),
        key,
    })
}

fn catalog(names: &[&str], aliases: &str) -> Catalog {
    let aliases = Aliases::parse(aliases.as_bytes()).unwrap();
    Catalog::new(names.iter().map(|name| function(name)).collect(), &aliases, &Mounts::default())
}

#[track_caller]
fn assert_means(catalog: &Catalog, name: &str, expected: Option<&str>) {
    assert_eq!(catalog.find(name, || None).map(|function| function.name()), expected, "{name}");
}

#[test]
fn partial_versions_mean_the_highest_release() {
    let catalog = catalog(&["t@1.2.0", "t@1.10.1", "t@1.9.9", "t@2.0.0-rc.1", "t@0.9.0", "tt@3.0.0"], "{}");
    for (name, expected) in [
        ("t@1.2.0", Some("t@1.2.0")),
        ("t@1", Some("t@1.10.1")),
        ("t@1.2", Some("t@1.2.0")),
        ("t@1.9", Some("t@1.9.9")),
        ("t@0", Some("t@0.9.0")),
        ("t@2", None),
        ("t@2.0", None),
        ("t@2.0.0", None),
        ("t@2.0.0-rc.1", Some("t@2.0.0-rc.1")),
        ("t", Some("t@1.10.1")),
        ("t@latest", None),
        ("t@3", None),
        ("tt", Some("tt@3.0.0")),
        ("x", None),
    ] {
        assert_means(&catalog, name, expected);
    }
}

#[test]
fn the_id_alone_means_latest_where_there_is_one() {
    assert_means(&catalog(&["t@latest", "t@9.0.0"], "{}"), "t", Some("t@latest"));
    assert_means(&catalog(&["t@1.0.0-rc.1"], "{}"), "t", None);
}

fn shares(catalog: &Catalog, name: &str, requests: usize) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for _ in 0..requests {
        *counts.entry(catalog.find(name, || None).unwrap().name().to_owned()).or_default() += 1;
    }
    counts
}

#[test]
fn an_alias_splits_by_weight() {
    let catalog = catalog(&["t@1.0.0", "t@2.0.0"], r#"{"t": {"live": {"1.0.0": 90, "2.0.0": 10}}}"#);
    for requests in [10, 100, 1000] {
        let counts = shares(&catalog, "t@live", requests);
        let tenth = requests / 10;
        assert!(counts["t@2.0.0"].abs_diff(tenth) <= 1, "{counts:?}");
    }
}

#[test]
fn a_weight_of_zero_gets_nothing() {
    let catalog = catalog(&["t@1.0.0", "t@2.0.0"], r#"{"t": {"live": {"1.0.0": 0, "2.0.0": 5}}}"#);
    assert_eq!(shares(&catalog, "t@live", 50), BTreeMap::from([("t@2.0.0".to_owned(), 50)]));
}

#[test]
fn a_sticky_value_is_always_for_the_same_version_and_values_spread() {
    let catalog = catalog(&["t@1.0.0", "t@2.0.0"], r#"{"t": {"live": {"1.0.0": 1, "2.0.0": 1}}}"#);
    let pick = |value: &str| catalog.find("t@live", || Some(value.as_bytes())).unwrap().name().to_owned();
    let mut counts = BTreeMap::<String, usize>::new();
    for user in 0..1000 {
        let value = format!("user-{user}");
        let picked = pick(&value);
        assert_eq!(picked, pick(&value));
        *counts.entry(picked).or_default() += 1;
    }
    assert!(counts.values().all(|count| (400..=600).contains(count)), "{counts:?}");
}

#[test]
fn the_share_of_a_version_that_is_gone_falls_to_the_others() {
    let catalog = catalog(&["t@1.0.0"], r#"{"t": {"live": {"1.0.0": 1, "2.0.0": 9}, "next": {"2.0.0": 1}}}"#);
    assert_eq!(shares(&catalog, "t@live", 20), BTreeMap::from([("t@1.0.0".to_owned(), 20)]));
    assert_means(&catalog, "t@next", None);
}
