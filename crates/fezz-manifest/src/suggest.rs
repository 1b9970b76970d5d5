//! "Did you mean" suggestions for mistyped words.

/// The candidate closest to `word`, ignoring case: at a Damerau-Levenshtein distance of at most 1, or 2 for a word of
/// five letters or more.
pub(crate) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let max_distance = if word.chars().count() >= 5 { 2 } else { 1 };
    let lower = word.to_ascii_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= max_distance)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// As [`nearest`], but for keys: also ignores separators, and accepts a prefix (`timeoutMs`, `max-concurrency`,
/// `timeout`).
pub(crate) fn nearest_key<'c>(word: &str, keys: &[&'c str]) -> Option<&'c str> {
    let normalized = normalize(word);
    let has_prefix = |key: &&&str| normalized.len() >= 4 && normalize(key).starts_with(&normalized);
    nearest(word, keys)
        .or_else(|| keys.iter().find(|key| normalize(key) == normalized).copied())
        .or_else(|| keys.iter().find(has_prefix).copied())
}

fn normalize(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_allows_a_distance_of_one_or_two_for_long_words() {
        let methods = ["GET", "POST", "DELETE"];
        assert_eq!(nearest("GTE", &methods), Some("GET"));
        assert_eq!(nearest("psot", &methods), Some("POST"));
        assert_eq!(nearest("DLETEE", &methods), Some("DELETE"));
        assert_eq!(nearest("LOCK", &methods), None);
        assert_eq!(nearest("GEXX", &methods), None);
        assert_eq!(nearest("", &methods), None);
    }

    #[test]
    fn keys_are_found_in_other_spellings() {
        let keys = ["entry", "env", "routes", "timeout_ms", "max_body_bytes", "max_concurrency"];
        assert_eq!(nearest_key("route", &keys), Some("routes"));
        assert_eq!(nearest_key("timeoutMs", &keys), Some("timeout_ms"));
        assert_eq!(nearest_key("timeout", &keys), Some("timeout_ms"));
        assert_eq!(nearest_key("max-Concurrency", &keys), Some("max_concurrency"));
        assert_eq!(nearest_key("Entry", &keys), Some("entry"));
        assert_eq!(nearest_key("memory", &keys), None);
        assert_eq!(nearest_key("", &keys), None);
    }
}
