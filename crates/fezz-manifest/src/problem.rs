//! [`Problems`]: the errors of a file, each with its place and what to do.

use std::fmt;

/// One error, and its place.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Problem {
    /// The JSON path of the value: `$` is the whole file, `$.routes[1].method` a value in it. For a `.env` file, `line 3`.
    pub path: String,
    /// What is wrong, and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// All errors of a file; never empty. Displays one problem a line, in the order in which they were found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Ok for an empty list, so that a value of this type is never empty.
    ///
    /// ```
    /// # use fezz_manifest::{Problem, Problems};
    /// assert!(Problems::check(Vec::new()).is_ok());
    /// let found = vec![Problem { path: "$".into(), message: "the file is empty".into() }];
    /// assert_eq!(Problems::check(found).unwrap_err().to_string(), "$: the file is empty");
    /// ```
    pub fn check(found: Vec<Problem>) -> Result<(), Self> {
        if found.is_empty() { Ok(()) } else { Err(Self(found)) }
    }

    /// The problems, in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            let line_break = if i == 0 { "" } else { "\n" };
            write!(f, "{line_break}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// A place in the file, as a JSON path.
#[derive(Debug, Clone)]
pub(crate) struct At(String);

impl At {
    pub(crate) fn root() -> Self {
        Self("$".to_owned())
    }

    /// The route at this position.
    pub(crate) fn route(index: usize) -> Self {
        Self::root().key("routes").index(index)
    }

    /// A key of this object. A key that is not an identifier is quoted: `$.env["my key"]`.
    pub(crate) fn key(&self, key: &str) -> Self {
        let plain = key.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '$'))
            && key[1..].bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if plain { Self(format!("{}.{key}", self.0)) } else { Self(format!("{}[{key:?}]", self.0)) }
    }

    pub(crate) fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }

    pub(crate) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem { path: self.0.clone(), message: message.into() }
    }
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_quote_keys_that_are_not_identifiers() {
        let at = At::root();
        assert_eq!(at.key("routes").index(1).key("method").to_string(), "$.routes[1].method");
        assert_eq!(at.key("$schema").to_string(), "$.$schema");
        assert_eq!(at.key("env").key("my key").to_string(), "$.env[\"my key\"]");
        assert_eq!(at.key("").to_string(), "$[\"\"]");
        assert_eq!(at.key("é\n").to_string(), "$[\"é\\n\"]");
    }

    #[test]
    fn problems_display_one_a_line() {
        let at = At::root();
        let problems = Problems::check(vec![at.key("id").problem("one"), at.problem("two")]);
        assert_eq!(problems.unwrap_err().to_string(), "$.id: one\n$: two");
    }
}
