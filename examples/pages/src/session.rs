//! A session: a signed cookie with the number of visits and a name.

use axum_extra::extract::SignedCookieJar;
use axum_extra::extract::cookie::{Cookie, Key, SameSite};

const NAME: &str = "session";
/// Fewer bytes are too few to derive a key from.
const LEAST_SECRET: usize = 32;

/// The session of a signed-in user.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: String,
    pub(crate) visits: u32,
}

/// The key that sessions are signed with: from the secret, or a new one.
pub(crate) fn key() -> Key {
    match fezz_sdk::variable("SESSION_KEY").map(str::as_bytes) {
        Some(secret) if secret.len() >= LEAST_SECRET => Key::derive_from(secret),
        _ => {
            tracing::warn!(
                "SESSION_KEY is missing or shorter than {LEAST_SECRET} bytes: sessions end with this load"
            );
            Key::generate()
        }
    }
}

impl Session {
    /// That of a request, if it has one that is signed.
    pub(crate) fn of(jar: &SignedCookieJar) -> Option<Self> {
        let cookie = jar.get(NAME)?;
        let (visits, name) = cookie.value().split_once(' ')?;
        Some(Self { name: name.to_owned(), visits: visits.parse().ok()? })
    }

    pub(crate) fn keep(&self, jar: SignedCookieJar) -> SignedCookieJar {
        let cookie = Cookie::build((NAME, format!("{} {}", self.visits, self.name)));
        jar.add(cookie.path("/").http_only(true).same_site(SameSite::Lax))
    }

    pub(crate) fn end(jar: SignedCookieJar) -> SignedCookieJar {
        jar.remove(Cookie::build(NAME).path("/"))
    }
}
