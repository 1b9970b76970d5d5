//! [`Version`]: `latest`, or a semver release.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// `id@version` names a folder, and file systems stop at 255 bytes.
pub(crate) const MAX_LENGTH: usize = 128;

/// `latest` or a semver release, for the schema.
pub(crate) const PATTERN: &str = "^(latest|(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\\.(0|[1-9][0-9]*)\
    (-(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)(\\.(0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*))*)?)$";

/// The version of a function; `latest` sorts after every release.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// A release, such as `1.4.0` or `2.0.0-rc.1`; never with build metadata.
    Release(semver::Version),
    /// The version that a deploy replaces in place.
    Latest,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Release(version) => version.fmt(f),
            // `pad`, so that the caller's format width applies to both.
            Self::Latest => f.pad("latest"),
        }
    }
}

/// Why a text is not a version, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Longer than a folder name has room for.
    #[error("the version has {0} bytes; write at most {MAX_LENGTH}")]
    TooLong(usize),
    /// `Latest`, `LATEST`.
    #[error("`{0}` is not a version; did you mean `latest`?")]
    Capitals(String),
    /// `v1.2.3`.
    #[error("`{0}` is not a version; leave out the `v`: `{1}`")]
    LeadingV(String, semver::Version),
    /// `1` or `1.2`.
    #[error("`{0}` is not a version; write all three numbers: `{1}`")]
    TooFewNumbers(String, semver::Version),
    /// `1.2.3+4`: semver does not order build metadata, so it is undefined which of two such releases is newer.
    #[error(
        "`{0}` has build metadata, which does not order; drop it: `{1}`, or make it a pre-release: `{1}-{2}`"
    )]
    BuildMetadata(String, semver::Version, semver::BuildMetadata),
    /// Anything else.
    #[error("`{0}` is not a version ({1}); write `latest` or a semver version such as `1.4.0`")]
    NotSemver(String, String),
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if text.len() > MAX_LENGTH {
            return Err(VersionError::TooLong(text.len()));
        }
        let version = semver::Version::parse(text).map_err(|error| explain(text, &error))?;
        if version.build.is_empty() {
            return Ok(Self::Release(version));
        }
        let mut plain = version.clone();
        plain.build = semver::BuildMetadata::EMPTY;
        Err(VersionError::BuildMetadata(text.to_owned(), plain, version.build))
    }
}

/// Recognizes common mistakes, so that the error can suggest a version.
fn explain(text: &str, error: &semver::Error) -> VersionError {
    if text.eq_ignore_ascii_case("latest") {
        return VersionError::Capitals(text.to_owned());
    }
    if let Some(Ok(version)) = text.strip_prefix(['v', 'V']).map(semver::Version::parse) {
        return VersionError::LeadingV(text.to_owned(), version);
    }
    let padded = [format!("{text}.0"), format!("{text}.0.0")];
    match padded.iter().find_map(|padded| semver::Version::parse(padded).ok()) {
        // `1.0.0-` and the like become semver by padding too, but that is not what was meant.
        Some(version) if version.pre.is_empty() && version.build.is_empty() => {
            VersionError::TooFewNumbers(text.to_owned(), version)
        }
        _ => VersionError::NotSemver(text.to_owned(), error.to_string()),
    }
}

impl JsonSchema for Version {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Version".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": PATTERN,
            "maxLength": MAX_LENGTH,
            "examples": ["latest", "1.4.0"]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        text.parse::<Version>().unwrap_err().to_string()
    }

    #[test]
    fn versions_display_as_they_are_written() {
        for text in ["latest", "0.0.0", "1.4.0", "2.0.0-rc.1", "10.20.30-alpha-7.0"] {
            assert_eq!(text.parse::<Version>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn releases_order_as_semver_and_latest_is_last() {
        let mut versions =
            ["latest", "1.10.0", "1.9.0", "1.10.0-rc.1"].map(|v| v.parse::<Version>().unwrap());
        versions.sort();
        assert_eq!(versions.map(|v| v.to_string()), ["1.9.0", "1.10.0-rc.1", "1.10.0", "latest"]);
    }

    #[test]
    fn common_mistakes_get_a_suggestion() {
        assert_eq!(refusal("Latest"), "`Latest` is not a version; did you mean `latest`?");
        assert_eq!(refusal("v1.2.3"), "`v1.2.3` is not a version; leave out the `v`: `1.2.3`");
        assert_eq!(refusal("1.2"), "`1.2` is not a version; write all three numbers: `1.2.0`");
        assert_eq!(refusal("3"), "`3` is not a version; write all three numbers: `3.0.0`");
        assert_eq!(
            refusal("1.2.3+45"),
            "`1.2.3+45` has build metadata, which does not order; \
             drop it: `1.2.3`, or make it a pre-release: `1.2.3-45`"
        );
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", " ", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.x", "^1.2.3", "../1.0.0", "latest ", "1.0.0/2"]
        {
            assert!(refusal(text).contains("such as `1.4.0`"), "{text}: {}", refusal(text));
        }
        assert!(refusal(&format!("1.0.0-{}", "a".repeat(200))).contains("at most 128"));
    }
}
