//! What the operator allows a `fezz.json` to ask for. The settings stand above it: a function that asks for more is not
//! deployed, so that nobody takes a limit for one that holds.

use std::time::Duration;

use fezz_isolation::sandbox::Profile;
use fezz_manifest::{Isolation, Manifest, Problem, Problems, Sandbox};

/// The operator's limits for what a `fezz.json` may ask for.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Whether every function runs in worker processes.
    pub(crate) require_isolation: bool,
    /// The weakest sandbox of isolated functions.
    pub(crate) sandbox: Profile,
    /// The most memory of a worker, in bytes.
    pub(crate) memory_bytes: u64,
    /// The most workers of a function.
    pub(crate) workers: usize,
    /// The largest request body, in bytes.
    pub(crate) body_bytes: u64,
    /// The longest time limit of a call.
    pub(crate) timeout: Duration,
    /// Which functions may name which secrets.
    pub(crate) secrets: SecretRules,
}

impl Policy {
    /// # Errors
    /// All that the manifest asks for and may not have, with its JSON path.
    pub(super) fn check(&self, manifest: &Manifest) -> Result<(), Problems> {
        let mut problems = Vec::new();
        let mut refuse = |path: &str, message: String| {
            problems.push(Problem { path: path.to_owned(), message: format!("{message}; {REMEDY}") });
        };
        if self.require_isolation && manifest.isolation == Some(Isolation::None) {
            let message =
                "this host runs every function in worker processes (`require_isolation`)".to_owned();
            refuse("$.isolation", message);
        }
        if let Some(asked) = manifest.sandbox
            && weakness(asked) > weakness_of(self.sandbox)
        {
            let weakest = name(self.sandbox);
            refuse("$.sandbox", format!("the weakest sandbox on this host is `{weakest}` (`allow_sandbox`)"));
        }
        let mut at_most = |path: &str, asked: Option<u64>, most: u64, setting: &str| {
            if let Some(asked) = asked.filter(|asked| *asked > most) {
                refuse(path, format!("{asked} is more than the {most} that this host allows (`{setting}`)"));
            }
        };
        let workers = manifest.workers;
        at_most("$.memory_max_bytes", manifest.memory_max_bytes, self.memory_bytes, "allow_memory_max_bytes");
        for (path, asked) in [
            ("$.workers.max", workers.max),
            ("$.workers.min", workers.min),
            ("$.workers.spare", workers.spare),
        ] {
            at_most(path, asked.map(u64::from), self.workers as u64, "allow_workers_max");
        }
        at_most("$.max_body_bytes", manifest.max_body_bytes, self.body_bytes, "allow_max_body_bytes");
        let timeout = u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX);
        at_most("$.timeout_ms", manifest.timeout_ms, timeout, "allow_timeout_ms");
        for (index, secret) in manifest.secrets.iter().enumerate() {
            if !self.secrets.allow(&manifest.id, secret) {
                let message = format!(
                    "this host does not allow `{}` the secret `{secret}` (`allow_secrets`)",
                    manifest.id
                );
                refuse(&format!("$.secrets[{index}]"), message);
            }
        }
        Problems::check(problems)
    }
}

const REMEDY: &str = "ask for less, or have the host's operator allow it";

/// How weak a sandbox is, for comparison.
const fn weakness(sandbox: Sandbox) -> u8 {
    match sandbox {
        Sandbox::Strict => 0,
        Sandbox::Net => 1,
        Sandbox::Off => 2,
    }
}

const fn weakness_of(profile: Profile) -> u8 {
    match profile {
        Profile::Strict => weakness(Sandbox::Strict),
        Profile::Net => weakness(Sandbox::Net),
        Profile::Off => weakness(Sandbox::Off),
    }
}

const fn name(profile: Profile) -> &'static str {
    match profile {
        Profile::Strict => "strict",
        Profile::Net => "net",
        Profile::Off => "off",
    }
}

/// Which functions may name which secrets: pairs of patterns for a function's id and a secret's name, in which `*` stands
/// for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecretRules(Vec<(String, String)>);

impl SecretRules {
    /// Reads `ID:NAME` pairs, separated by commas or white space: `todos:DATABASE_URL, shop-*:STRIPE_*`. None of them
    /// allows nothing.
    ///
    /// # Errors
    /// A pair that is none, in words.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let pairs = text.split([',', ' ', '\t', '\n']).filter(|pair| !pair.is_empty());
        let pair = |pair: &str| match pair.split_once(':') {
            Some((id, name)) if !id.is_empty() && !name.is_empty() => Ok((id.to_owned(), name.to_owned())),
            _ => Err(format!("`{pair}` is no rule for secrets; write ID:NAME, as todos:DATABASE_URL or *:*")),
        };
        Ok(Self(pairs.map(pair).collect::<Result<_, _>>()?))
    }

    fn allow(&self, id: &str, secret: &str) -> bool {
        self.0.iter().any(|(ids, names)| matches(ids, id) && matches(names, secret))
    }
}

/// Whether the text is as the pattern has it; each `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "x", true),
            ("todos", "todos", true),
            ("todos", "todos2", false),
            ("shop-*", "shop-eu", true),
            ("shop-*", "shop", false),
            ("*_URL", "DB_URL", true),
            ("*_URL", "DB_URLS", false),
            ("A*B*C", "AxBxxC", true),
            ("A*B*C", "ABC", true),
            ("A*B*C", "ACB", false),
            ("AB*BA", "ABA", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn rules_are_pairs() {
        let rules = SecretRules::parse("todos:DB, shop-*:STRIPE_*\n").unwrap();
        assert!(rules.allow("todos", "DB") && rules.allow("shop-eu", "STRIPE_KEY"));
        assert!(!rules.allow("shop-eu", "DB") && !rules.allow("todos", "STRIPE_KEY"));
        assert!(!SecretRules::parse("").unwrap().allow("todos", "DB"));
        for wrong in ["todos", ":DB", "todos:"] {
            assert!(SecretRules::parse(wrong).unwrap_err().contains("is no rule for secrets"), "{wrong}");
        }
    }
}
