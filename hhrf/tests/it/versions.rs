//! Which version a name means, and how aliases share out the calls.

use std::collections::BTreeMap;
use std::fs;

use fezz_testkit::{Folder, Host, Numbered, Response, Running, digest};

/// Deploys build N of the function `t` as each of these versions, N being its place in the list.
fn host(versions: &[&str]) -> (Host, Numbered) {
    let host = Host::new();
    let builds = Numbered::new(host.root());
    for (build, version) in (1..).zip(versions) {
        Folder::new(&host.functions(), &format!("t@{version}")).create(&builds.build(build));
    }
    (host, builds)
}

fn write_aliases(host: &Running, text: &str) {
    fs::write(host.host().functions().join("aliases.json"), text).expect("aliases.json can be written");
}

/// The function that answered.
fn answered(response: &Response) -> &str {
    response.assert_status(200).header("x-fezz-function").expect("every answer names its function")
}

/// How many of `count` calls of `name` each version answered.
fn shares(host: &Running, name: &str, count: usize) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for _ in 0..count {
        let response = host.get(&format!("/rpc/{name}"));
        *shares.entry(answered(&response).to_owned()).or_default() += 1;
    }
    shares
}

#[track_caller]
fn until_alias_error(host: &Running, text: &str) {
    host.until(
        |host| host.admin("/functions").json()["aliases_error"].to_string(),
        |error| error.contains(text),
    );
}

#[track_caller]
fn until_in_force(host: &Running, alias: &str) {
    host.until(
        |host| host.admin("/functions").json(),
        |list| list["aliases_error"].is_null() && list["aliases"].to_string().contains(alias),
    );
}

#[test]
fn a_name_means_the_highest_release_that_fits_it() {
    let (host, builds) = host(&["1.2.0", "1.2.9", "1.10.0", "2.0.0", "3.0.0-rc.1"]);
    let host = host.start();
    for (name, build) in
        [("t@1.2.0", 1), ("t@1.2", 2), ("t@1.10", 3), ("t@1", 3), ("t@2", 4), ("t", 4), ("t@3.0.0-rc.1", 5)]
    {
        let response = host.get(&format!("/rpc/{name}"));
        assert_eq!(Numbered::number(&response.assert_status(200).body), Some(build), "{name}");
        let digest = &digest(&builds.build(build))[..12];
        assert_eq!(response.header("x-fezz-digest"), Some(digest), "{name}");
    }
    // A pre-release is meant by its full name only.
    for name in ["t@3", "t@3.0", "t@latest", "t@1.3", "t@1.2.1", "t@1.2.0.0", "t@01"] {
        host.get(&format!("/rpc/{name}")).assert_problem(404);
    }
}

#[test]
fn latest_stands_over_releases_for_the_bare_name_and_comes_and_goes() {
    let (host, builds) = host(&["1.0.0"]);
    let host = host.start();
    assert_eq!(answered(&host.get("/rpc/t")), "t@1.0.0");
    let latest = Folder::new(&host.host().functions(), "t@latest");
    latest.create(&builds.build(7));
    host.until(|host| answered(&host.get("/rpc/t")).to_owned(), |name| name == "t@latest");
    assert_eq!(answered(&host.get("/rpc/t@1")), "t@1.0.0");
    latest.remove();
    host.until(|host| answered(&host.get("/rpc/t")).to_owned(), |name| name == "t@1.0.0");
}

#[test]
fn errors_name_the_function_too() {
    let (host, _) = host(&["1.0.0"]);
    let host = host.start();
    let response = host.get("/rpc/t@1/nothing");
    assert_eq!(response.assert_problem(404).header("x-fezz-function"), Some("t@1.0.0"));
    assert!(response.header("x-fezz-digest").is_some());
    assert_eq!(host.get("/rpc/unknown").assert_problem(404).header("x-fezz-function"), None);
}

#[test]
fn an_alias_splits_and_an_edit_moves_traffic() {
    let (host, _) = host(&["1.2.0", "1.3.0"]);
    fs::write(host.functions().join("aliases.json"), r#"{"t": {"live": {"1.2.0": 90, "1.3.0": 10}}}"#)
        .expect("written");
    let host = host.start();
    let split = shares(&host, "t@live", 200);
    assert!((15..=25).contains(&split["t@1.3.0"]), "{split:?}");

    write_aliases(&host, r#"{"t": {"live": {"1.2.0": 0, "1.3.0": 1}, "old": {"1.2.0": 1}}}"#);
    until_in_force(&host, "old");
    assert_eq!(shares(&host, "t@live", 50), BTreeMap::from([("t@1.3.0".to_owned(), 50)]));
    assert_eq!(shares(&host, "t@old", 5), BTreeMap::from([("t@1.2.0".to_owned(), 5)]));

    fs::remove_file(host.host().functions().join("aliases.json")).expect("removed");
    host.until(|host| host.get("/rpc/t@live").status.as_u16(), |status| *status == 404);
}

#[test]
fn a_client_that_says_who_it_is_stays_on_one_version() {
    let (host, _) = host(&["1.2.0", "1.3.0"]);
    fs::write(host.functions().join("aliases.json"), r#"{"t": {"live": {"1.2.0": 50, "1.3.0": 50}}}"#)
        .expect("written");
    let host = host.env("HHRF_STICKY_HEADER", "x-user").env("HHRF_STICKY_COOKIE", "user").start();
    let mut versions = BTreeMap::<String, usize>::new();
    for user in 0..20 {
        let ask = |name: &str, value: &str| {
            let response = host.request("GET", "/rpc/t@live", &[(name, value)], b"");
            answered(&response).to_owned()
        };
        let first = ask("x-user", &user.to_string());
        for _ in 0..5 {
            assert_eq!(ask("x-user", &user.to_string()), first);
        }
        assert_eq!(ask("cookie", &format!("a=b; user={user}")), first, "the same value in the cookie");
        *versions.entry(first).or_default() += 1;
    }
    assert_eq!(versions.len(), 2, "{versions:?}");
}

#[test]
fn a_file_that_is_wrong_or_ahead_of_its_time_keeps_the_previous_split() {
    let (host, builds) = host(&["1.2.0"]);
    fs::write(host.functions().join("aliases.json"), r#"{"t": {"live": {"1.2.0": 1}}}"#).expect("written");
    let host = host.start();
    let only_old = || assert_eq!(shares(&host, "t@live", 5), BTreeMap::from([("t@1.2.0".to_owned(), 5)]));
    only_old();

    write_aliases(&host, r#"{"t": {"live": {"1.2.0": 1,}}}"#);
    until_alias_error(&host, "JSON");
    only_old();
    write_aliases(&host, r#"{"t": {"live": {"1.2.0": -1}}}"#);
    until_alias_error(&host, "$.t.live");
    only_old();
    write_aliases(&host, r#"{"t": {"live": {"9.9.9": 1}}}"#);
    until_alias_error(&host, "there is no function `t@9.9.9`");
    only_old();
    let line = host.wait_for_log(|line| line.message().contains("t@9.9.9"));
    assert_eq!(line.field("file"), "aliases.json");

    // The version that it names comes after it: then it is in force.
    Folder::new(&host.host().functions(), "t@9.9.9").create(&builds.build(9));
    host.until(|host| answered(&host.get("/rpc/t@live")).to_owned(), |name| name == "t@9.9.9");
    until_in_force(&host, "live");
}
