//! The key of a function: id, version, build, settings.

use std::hash::{Hash, Hasher};

use fezz_runtime::Digest;
use http::HeaderValue;

/// What tells one function from another in every cache: id, version, the library's digest, and the files and settings that
/// its statics may have been initialised from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FunctionKey {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) digest: Digest,
    /// The digest of the files beside its library, if there are any.
    pub(crate) assets: Option<Digest>,
    /// Fingerprint of its variables and its isolation.
    pub(crate) settings: u64,
    /// `id@version`, as it stands in logs.
    pub(crate) name: String,
}

impl Hash for FunctionKey {
    /// A few bytes of the digest: keys that share a library are few, and differ in `eq`. It is hashed for each call.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let [a, b, c, d, e, f, g, h, ..] = self.digest.bytes();
        state.write_u64(u64::from_ne_bytes([a, b, c, d, e, f, g, h]));
    }
}

/// A function's name and digest as header values, made once.
#[derive(Clone, Debug)]
pub(crate) struct Tag {
    pub(crate) name: HeaderValue,
    pub(crate) digest: HeaderValue,
}

impl Tag {
    pub(crate) fn of(key: &FunctionKey) -> Self {
        // Ids, versions and digests are visible ASCII.
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static("?"));
        Self { name: value(&key.name), digest: value(&key.digest.short()) }
    }
}
