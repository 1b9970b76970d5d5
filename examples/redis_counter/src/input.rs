//! Validation of the path and query parameters.

use std::borrow::Cow;

use crate::problem::Problem;

/// Longest name of a counter.
const MAX_NAME: usize = 128;

/// Validates the name of a counter: it becomes part of a key that other programs may read.
pub(crate) fn name(text: &str) -> Result<&str, Problem> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    if (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(known) {
        Ok(text)
    } else {
        Err(Problem::Name)
    }
}

/// The increment, from the query's pairs; 1 by default.
pub(crate) fn step<'q>(pairs: impl Iterator<Item = (Cow<'q, str>, Cow<'q, str>)>) -> Result<i64, Problem> {
    let mut by = None;
    for (name, value) in pairs {
        if name != "by" {
            return Err(Problem::Query(format!("`{name}` is not known here; use by")));
        }
        let step =
            value.parse().map_err(|_| Problem::Query("`by` must be a whole number of 64 bits".to_owned()))?;
        if by.replace(step).is_some() {
            return Err(Problem::Query("`by` is given twice".to_owned()));
        }
    }
    Ok(by.unwrap_or(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&'static str, &'static str)]) -> Result<i64, Problem> {
        step(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn names_have_few_special_characters() {
        for text in ["a", "page.views-2026_01", &"x".repeat(128)] {
            assert!(name(text).is_ok(), "{text}");
        }
        for text in ["", "a b", "a:b", "ü", "a\r\nDEL b", &"x".repeat(129)] {
            assert!(matches!(name(text), Err(Problem::Name)), "{text}");
        }
    }

    #[test]
    fn the_step_is_one_by_default() {
        assert_eq!(parse(&[]).unwrap(), 1);
        assert_eq!(parse(&[("by", "-5")]).unwrap(), -5);
        assert_eq!(parse(&[("by", "9223372036854775807")]).unwrap(), i64::MAX);
    }

    #[test]
    fn other_queries_are_refused() {
        let bad: [&[(&str, &str)]; 5] = [
            &[("by", "")],
            &[("by", "1.5")],
            &[("by", "9223372036854775808")],
            &[("by", "1"), ("by", "2")],
            &[("step", "1")],
        ];
        for pairs in bad {
            assert!(matches!(parse(pairs), Err(Problem::Query(_))), "{pairs:?}");
        }
    }
}
