//! The query parameters of `GET /todos`: filter and paging.

use std::borrow::Cow;

use crate::problem::{Problem, field_error};

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;
/// Longest text to search for, in characters; no title is longer.
const MAX_TEXT: usize = 200;

/// A filter and a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListQuery {
    pub(crate) done: Option<bool>,
    /// A substring of the title, ignoring the case of ASCII letters.
    pub(crate) text: Option<String>,
    pub(crate) limit: u32,
    pub(crate) offset: u32,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self { done: None, text: None, limit: DEFAULT_LIMIT, offset: 0 }
    }
}

impl ListQuery {
    /// Parses the query's pairs, and reports all errors at once.
    pub(crate) fn parse<'q>(
        pairs: impl Iterator<Item = (Cow<'q, str>, Cow<'q, str>)>,
    ) -> Result<Self, Problem> {
        let mut query = Self::default();
        let mut errors = Vec::new();
        let mut seen = Vec::new();
        for (name, value) in pairs {
            let set = if seen.contains(&name) {
                Err("is given twice".to_owned())
            } else {
                query.set(&name, &value)
            };
            if let Err(message) = set {
                errors.push(field_error(&name, message));
            }
            seen.push(name);
        }
        if errors.is_empty() { Ok(query) } else { Err(Problem::Query(errors)) }
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "done" => self.done = Some(value.parse().map_err(|_| "must be true or false")?),
            "q" => self.text = Some(text(value)?),
            "limit" => self.limit = number(value, 1, MAX_LIMIT)?,
            "offset" => self.offset = number(value, 0, u32::MAX)?,
            _ => return Err("is not known here; use done, q, limit or offset".to_owned()),
        }
        Ok(())
    }
}

fn text(value: &str) -> Result<String, String> {
    if value.chars().count() > MAX_TEXT {
        return Err(format!("must have at most {MAX_TEXT} characters"));
    }
    // SQLite ends a pattern at the first NUL. Titles have no control characters anyway.
    if value.contains(char::is_control) {
        return Err("must not hold control characters".to_owned());
    }
    Ok(value.to_owned())
}

fn number(value: &str, min: u32, max: u32) -> Result<u32, String> {
    let number = value.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| format!("must be a whole number from {min} to {max}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pairs: &[(&'static str, &'static str)]) -> Result<ListQuery, Problem> {
        ListQuery::parse(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())))
    }

    #[test]
    fn without_a_query_the_page_is_the_first_twenty() {
        let expected = ListQuery { done: None, text: None, limit: 20, offset: 0 };
        assert_eq!(parse(&[]).unwrap(), expected);
    }

    #[test]
    fn all_parameters_are_read() {
        let query = parse(&[("done", "true"), ("q", "50%"), ("limit", "100"), ("offset", "40")]).unwrap();
        let expected = ListQuery { done: Some(true), text: Some("50%".to_owned()), limit: 100, offset: 40 };
        assert_eq!(query, expected);
    }

    #[test]
    fn all_invalid_parameters_are_named() {
        let pairs =
            [("done", "1"), ("limit", "0"), ("offset", "-1"), ("q", "a\0"), ("page", "2"), ("done", "true")];
        let Err(Problem::Query(errors)) = parse(&pairs) else { panic!("not refused") };
        let fields: Vec<_> = errors.iter().map(|error| error.field.as_str()).collect();
        assert_eq!(fields, ["done", "limit", "offset", "q", "page", "done"]);
        assert_eq!(errors[5].message, "is given twice");
    }

    #[test]
    fn limits_are_limits() {
        for value in ["101", "1.5", "", " 5", "99999999999"] {
            assert!(parse(&[("limit", value)]).is_err(), "{value:?}");
        }
        assert!(ListQuery::parse(std::iter::once(("q".into(), "x".repeat(201).into()))).is_err());
    }
}
