//! "Did you mean": the nearest of a few words to one that was mistyped.

/// The candidate that `word` most likely stands for: the same but for its case, or one slip away (two in a
/// word of five letters or more), where two swapped letters are one slip.
pub(crate) fn nearest<'c>(word: &str, candidates: &[&'c str]) -> Option<&'c str> {
    let slips = if word.chars().count() >= 5 { 2 } else { 1 };
    let lower = word.to_ascii_lowercase();
    candidates
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(&lower, &candidate.to_ascii_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// As [`nearest`], but for keys: `timeoutMs`, `max-concurrency` and `timeout` find their way too.
pub(crate) fn nearest_key<'c>(word: &str, keys: &[&'c str]) -> Option<&'c str> {
    let squeezed = squeeze(word);
    let starts_alike = |key: &&&str| squeezed.len() >= 4 && squeeze(key).starts_with(&squeezed);
    nearest(word, keys)
        .or_else(|| keys.iter().find(|key| squeeze(key) == squeezed).copied())
        .or_else(|| keys.iter().find(starts_alike).copied())
}

fn squeeze(word: &str) -> String {
    word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_allows_one_slip_and_two_in_long_words() {
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
