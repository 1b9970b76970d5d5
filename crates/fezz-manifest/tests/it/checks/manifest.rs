//! Properties of the parser of `fezz.json`, for any input.

use fezz_manifest::{Found, Manifest, RouteTable};
use http::Method;

/// A manifest that parses is consistent: it does not depend on how its JSON is written, and its routes make a table.
/// One that does not parse has problems, each with its place.
pub(crate) fn check(input: &[u8]) {
    match Manifest::parse(input) {
        Ok(manifest) => {
            let folder = format!("{}@{}", manifest.id, manifest.version);
            assert!(manifest.check_folder(&folder).is_empty());
            assert!(!manifest.library_file_name().contains('/'));
            check_table(&manifest);
            check_rewritten(input, &manifest);
        }
        Err(problems) => {
            assert!(problems.iter().count() > 0);
            assert!(problems.iter().all(|problem| problem.path.starts_with('$')), "{problems}");
        }
    }
}

/// Any text can be looked up in the table, and a route that is found is one of the table's.
fn check_table(manifest: &Manifest) {
    let table = RouteTable::new(&manifest.routes).expect("the routes were checked");
    let paths = manifest.routes.iter().map(|route| &route.path);
    for path in paths.chain(&manifest.description).chain(manifest.env.values()) {
        if let Found::Route(found) = table.find(path, &Method::GET) {
            // Routes of one path share its pattern.
            assert_eq!(table.patterns().nth(found.index), Some(found.pattern));
            assert!(manifest.routes.iter().any(|route| route.path == found.pattern));
            assert_eq!(found.params.iter().count(), found.params.len());
        }
    }
}

/// White space, escapes and the order of keys have no meaning.
fn check_rewritten(input: &[u8], manifest: &Manifest) {
    let json: serde_json::Value = serde_json::from_slice(input).expect("it was parsed as JSON");
    assert_eq!(Manifest::parse(json.to_string().as_bytes()).as_ref(), Ok(manifest));
}
