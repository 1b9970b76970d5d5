//! Where settings come from. Nothing is judged here but what cannot be read at all.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

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

/// The settings file: what is in it, or why it cannot be read.
#[derive(Clone, Debug)]
pub(super) struct SettingsFile {
    name: String,
    pub(super) text: Result<String, String>,
}

impl SettingsFile {
    /// The file that was asked for, or the usual one; where there is none, one that is empty.
    pub(super) fn read(arguments: &Arguments) -> Self {
        let named = std::env::var_os(format!("{PREFIX}_CONFIG")).map(PathBuf::from);
        let asked = arguments.config.clone().or(named);
        let path = asked.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
        let text = match std::fs::read(&path) {
            Err(error) if asked.is_none() && error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(format!("it cannot be read: {error}")),
            Ok(text) => String::from_utf8(text).map_err(|error| format!("it is not text: {error}")),
        };
        Self { name: path.display().to_string(), text }
    }

    /// The same file with this text.
    pub(super) fn with(&self, text: String) -> Self {
        Self { name: self.name.clone(), text: Ok(text) }
    }

    fn values(&self, problems: &mut Vec<String>) -> BTreeMap<String, Value> {
        match &self.text {
            Ok(text) => collect(&File::from_str(text, FileFormat::Toml), &self.name, problems),
            Err(error) => {
                problems.push(format!("{}: {error}", self.name));
                BTreeMap::new()
            }
        }
    }

    /// What can be read of a file that cannot be read as a whole: single lines.
    fn salvaged(&self) -> BTreeMap<String, Value> {
        let whole = self.values(&mut Vec::new());
        if !whole.is_empty() {
            return whole;
        }
        let lines = self.text.as_deref().unwrap_or_default().lines();
        lines.filter_map(|line| File::from_str(line, FileFormat::Toml).collect().ok()).flatten().collect()
    }
}

/// Gathers from the weakest source to the strongest.
pub(super) fn gather(arguments: &Arguments, file: &SettingsFile) -> (RawSettings, Vec<String>) {
    let mut raw = RawSettings::new();
    let mut problems = Vec::new();
    let origin = |key: &str| format!("{}: {key}", file.name);
    insert(&mut raw, file.values(&mut problems), origin);
    insert_stronger(&mut raw, arguments, &mut problems);
    (raw, problems)
}

/// The state folder, as far as it can be told where settings are wrong.
pub(super) fn state_dir(arguments: &Arguments, file: &SettingsFile) -> Option<PathBuf> {
    let mut raw = RawSettings::new();
    insert(&mut raw, file.salvaged(), str::to_owned);
    insert_stronger(&mut raw, arguments, &mut Vec::new());
    Some(PathBuf::from(raw.remove("state_dir")?.value.into_string().ok()?))
}

fn insert_stronger(raw: &mut RawSettings, arguments: &Arguments, problems: &mut Vec<String>) {
    let mut environment = environment(problems);
    environment.remove("config");
    insert(raw, environment, |key| format!("{PREFIX}_{}", key.to_uppercase()));
    insert(raw, flags(arguments), |key| format!("--{}", key.replace('_', "-")));
}

fn insert(raw: &mut RawSettings, values: BTreeMap<String, Value>, origin: impl Fn(&str) -> String) {
    for (key, value) in values {
        let origin = origin(&key);
        raw.insert(key, Raw { value, origin });
    }
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
