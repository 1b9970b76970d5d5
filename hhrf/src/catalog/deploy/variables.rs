//! Gathering a function's variables: `env` of its `fezz.json`, overridden by `.env`, overridden by secrets.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fezz_manifest::{Manifest, Problems, parse_env_file};
use fezz_runtime::Variables;
use fezz_runtime::sys::started_with;

use super::dropped;

const ENV_FILE: &str = ".env";

/// Why a function's settings are not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VariablesError {
    #[error("`{file}` cannot be read: {source}")]
    Read { file: String, source: io::Error },
    #[error("`{file}`: {problems}")]
    Parse { file: String, problems: Problems },
    #[error("the secret `{name}` is neither in the host's environment{file}; set it, and deploy again")]
    MissingSecret { name: String, file: String },
    #[error(
        "`{name}` is a variable of the dynamic loader or the C library, which loads code by it; name it otherwise"
    )]
    Reserved { name: String },
}

/// A function's secrets, by name.
pub(super) type Secrets = BTreeMap<String, String>;

/// Reads `.env` in the function's folder, if there is one.
pub(super) fn read_env(folder: &Path) -> Result<Option<Vec<u8>>, VariablesError> {
    match dropped::read(folder, ENV_FILE) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(VariablesError::Read { file: ENV_FILE.to_owned(), source }),
    }
}

/// Gathers a function's variables.
pub(super) fn gather(
    manifest: &Manifest,
    env: Option<&[u8]>,
    secrets: &Secrets,
) -> Result<Variables, VariablesError> {
    let mut values = manifest.env.clone();
    if let Some(text) = env {
        values.extend(parse(ENV_FILE, text)?);
    }
    values.extend(secrets.clone());
    if let Some(name) = values.keys().find(|name| is_reserved(name)) {
        return Err(VariablesError::Reserved { name: name.clone() });
    }
    Ok(values.into_iter().collect())
}

/// Whether a variable of this name makes the loader or the C library load code, or changes how they do. Workers get their
/// variables after their start, so that such a one has no effect there; but what a function starts would have it.
fn is_reserved(name: &str) -> bool {
    name.starts_with("LD_")
        || name.starts_with("DYLD_")
        || matches!(name, "GLIBC_TUNABLES" | "GCONV_PATH" | "MALLOC_TRACE")
}

fn parse(file: &str, text: &[u8]) -> Result<BTreeMap<String, String>, VariablesError> {
    parse_env_file(text).map_err(|problems| VariablesError::Parse { file: file.to_owned(), problems })
}

/// Where secrets come from.
#[derive(Clone, Debug)]
pub(super) struct SecretsSource {
    /// The file of secrets, if any.
    pub(super) file: Option<PathBuf>,
    /// How long nothing must have changed in it before it is read.
    pub(super) settle: Duration,
}

/// The secrets that a function names: from the file where it has them, else from the host's environment.
pub(super) fn secrets(names: &[String], source: &SecretsSource) -> Result<Secrets, VariablesError> {
    if names.is_empty() {
        return Ok(Secrets::new());
    }
    let mut known = BTreeMap::new();
    let file = source.file.as_ref();
    if let Some(path) = file {
        let name = path.display().to_string();
        let text = dropped::read_anywhere(path, source.settle)
            .map_err(|source| VariablesError::Read { file: name.clone(), source })?;
        known = parse(&name, &text)?;
    }
    let find = |name: &String| {
        let value =
            known.remove(name).or_else(|| started_with(name).and_then(|value| value.into_string().ok()));
        let file = file.map_or_else(String::new, |path| format!(" nor in {}", path.display()));
        let value = value.ok_or_else(|| VariablesError::MissingSecret { name: name.clone(), file })?;
        Ok((name.clone(), value))
    };
    names.iter().map(find).collect()
}
