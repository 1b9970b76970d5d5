//! Properties of the parser of `mounts.json`, for any input.

use fezz_manifest::{MountTable, Mounts};

/// Mounts that parse are each found at their own place, and do not depend on how their JSON is written. Others have
/// problems, each with its place.
pub(crate) fn check(input: &[u8]) {
    match Mounts::parse(input) {
        Ok(mounts) => {
            assert_eq!(mounts.check(Vec::new, |_| false).len(), mounts.iter().count());
            assert!(mounts.check(Vec::new, |_| true).is_empty());
            check_found(&mounts);
            let json: serde_json::Value = serde_json::from_slice(input).expect("it was parsed as JSON");
            let again = Mounts::parse(json.to_string().as_bytes()).expect("the same mounts");
            assert_eq!(again, mounts);
        }
        Err(problems) => {
            assert!(problems.iter().all(|problem| problem.path.starts_with('$')), "{problems}");
        }
    }
}

fn check_found(mounts: &Mounts) {
    let table = MountTable::new(mounts);
    for (index, mount) in mounts.iter().enumerate() {
        let place = mount.place.to_string();
        let place = place.strip_prefix('*').map_or_else(|| place.clone(), |below| format!("x{below}"));
        let (host, path) = place.split_at(place.find('/').unwrap_or(place.len()));
        let path = if path.is_empty() { "/" } else { path };
        let found = table.find(Some(host.as_bytes()), path).expect("its own place");
        // The name that a wildcard gets here may be mounted too.
        assert!(found.index <= index, "{place}");
    }
}
