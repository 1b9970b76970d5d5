//! Where settings come from. Nothing is judged here but what cannot be read at all.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Source, Value};

use super::Arguments;

const DEFAULT_FILE: &str = "config/hhrf.toml";
const PREFIX: &str = "HHRF";

/// A value and where it was written: a flag, a variable, a file.
#[derive(Debug)]
pub(super) struct Raw {
    pub(super) value: Value,
    pub(super) origin: String,
}

/// All values that were given, the strongest source of each.
pub(super) type RawSettings = BTreeMap<String, Raw>;

/// Gathers from the weakest source to the strongest.
pub(super) fn gather(arguments: &Arguments) -> (RawSettings, Vec<String>) {
    let mut raw = RawSettings::new();
    let mut problems = Vec::new();
    let mut environment = environment(&mut problems);
    let named = environment.remove("config").and_then(|value| value.into_string().ok()).map(PathBuf::from);
    if let Some(path) = file_path(arguments.config.clone().or(named)) {
        let origin = |key: &str| format!("{}: {key}", path.display());
        insert(&mut raw, file(&path, &mut problems), origin);
    }
    insert(&mut raw, environment, |key| format!("{PREFIX}_{}", key.to_uppercase()));
    insert(&mut raw, flags(arguments), |key| format!("--{}", key.replace('_', "-")));
    (raw, problems)
}

fn insert(raw: &mut RawSettings, values: BTreeMap<String, Value>, origin: impl Fn(&str) -> String) {
    for (key, value) in values {
        let origin = origin(&key);
        raw.insert(key, Raw { value, origin });
    }
}

/// The file that was asked for, or the usual one where it is there.
fn file_path(asked: Option<PathBuf>) -> Option<PathBuf> {
    asked.or_else(|| Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()))
}

fn file(path: &Path, problems: &mut Vec<String>) -> BTreeMap<String, Value> {
    collect(&File::from(path).format(FileFormat::Toml), &path.display().to_string(), problems)
}

fn environment(problems: &mut Vec<String>) -> BTreeMap<String, Value> {
    collect(&Environment::with_prefix(PREFIX), "the environment", problems)
}

fn collect(source: &impl Source, name: &str, problems: &mut Vec<String>) -> BTreeMap<String, Value> {
    match source.collect() {
        Ok(values) => values.into_iter().collect(),
        Err(error) => {
            problems.push(format!("{name}: {error}"));
            BTreeMap::new()
        }
    }
}

fn flags(arguments: &Arguments) -> BTreeMap<String, Value> {
    let Arguments { functions, listen, admin, state_dir, log, log_format, no_watch, .. } = arguments;
    let watch = no_watch.then(|| "false".to_owned());
    [
        ("functions", functions),
        ("listen", listen),
        ("admin", admin),
        ("watch", &watch),
        ("state_dir", state_dir),
        ("log", log),
        ("log_format", log_format),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), Value::from(value.clone()?))))
    .collect()
}
