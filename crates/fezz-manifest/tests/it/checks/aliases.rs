//! Properties of the parser of `aliases.json`, for any input.

use fezz_manifest::Aliases;

/// Aliases that parse have a version and a weight each, and do not depend on how their JSON is written. Others have
/// problems, each with its place.
pub(crate) fn check(input: &[u8]) {
    match Aliases::parse(input) {
        Ok(aliases) => {
            let shares: usize = aliases.iter().map(|(_, _, shares)| shares.len()).sum();
            assert_eq!(aliases.check(|_, _| false).len(), shares);
            assert!(aliases.check(|_, _| true).is_empty());
            assert!(aliases.iter().all(|(_, _, shares)| shares.iter().any(|share| share.weight > 0)));
            check_rewritten(input, &aliases);
        }
        Err(problems) => {
            assert!(problems.iter().all(|problem| problem.path.starts_with('$')), "{problems}");
        }
    }
}

/// White space, escapes and the order of keys have no meaning.
fn check_rewritten(input: &[u8], aliases: &Aliases) {
    let json: serde_json::Value = serde_json::from_slice(input).expect("it was parsed as JSON");
    assert_eq!(Aliases::parse(json.to_string().as_bytes()).as_ref(), Ok(aliases));
}
