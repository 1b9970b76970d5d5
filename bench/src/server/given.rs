//! Further hosts to compare with: programs given as `--host NAME=PROGRAM`, other builds of hhrf.

use std::path::PathBuf;
use std::str::FromStr;

/// A host's program, and the name of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GivenHost {
    pub(crate) name: String,
    pub(crate) program: PathBuf,
}

impl FromStr for GivenHost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, program) = text.split_once('=').ok_or("expected NAME=PROGRAM")?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err("the name must be of letters, digits, `-`, `_` and `.`".to_owned());
        }
        // Absolute: the host is started in another folder.
        let program = std::fs::canonicalize(program).map_err(|error| format!("{program}: {error}"))?;
        if !program.is_file() {
            return Err(format!("{} is no file", program.display()));
        }
        Ok(Self { name: name.to_owned(), program })
    }
}

/// The first name that two hosts have: their rows could not be told apart.
pub(crate) fn repeated(hosts: &[GivenHost]) -> Option<&str> {
    let mut names: Vec<_> = hosts.iter().map(|host| host.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_and_a_program() {
        let program = std::env::current_exe().expect("this program");
        let host: GivenHost = format!("before.1={}", program.display()).parse().expect("a host");
        assert_eq!(host.name, "before.1");
        assert_eq!(host.program, program.canonicalize().expect("a path"));
    }

    #[test]
    fn other_forms_are_refused() {
        let error = |text: &str| text.parse::<GivenHost>().expect_err(text);
        assert_eq!(error("/bin/sh"), "expected NAME=PROGRAM");
        assert!(error("=/bin/sh").starts_with("the name must be"));
        assert!(error("a|b=/bin/sh").starts_with("the name must be"));
        assert!(error("a=/no/such/program").starts_with("/no/such/program: "));
        assert_eq!(error("a=/"), "/ is no file");
    }

    #[test]
    fn names_are_used_once() {
        let host = |name: &str| GivenHost { name: name.to_owned(), program: PathBuf::from("/bin/sh") };
        assert_eq!(repeated(&[host("b"), host("a"), host("b")]), Some("b"));
        assert_eq!(repeated(&[host("b"), host("a")]), None);
    }
}
