//! An application as others write them: it reads its environment, starts programs, and installs its own loggers.

#![allow(clippy::print_stdout, reason = "applications print")]

mod loggers;
mod native;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::Command;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use clap::Parser;
use fezz_sdk::fezz_function;
use serde::Deserialize;

/// Its settings, as `envy` reads them.
#[derive(Deserialize)]
struct Settings {
    greeting: String,
}

/// The same for `clap`.
#[derive(Parser)]
struct Flags {
    #[arg(long, env = "GREETING")]
    greeting: String,
}

fn start() -> Result<(), Box<dyn Error>> {
    log_both("in init");
    loggers::install(&variable("INIT_LOGGERS").unwrap_or_default())
}

/// Its set-up logs, installs what `LOGGERS` says, and fails while the data folder has a file `down`.
#[fezz_function(init = start)]
pub async fn app() -> Result<Router, Box<dyn Error>> {
    if let Some(folder) = fezz_sdk::data_dir() {
        // As `dotenvy::dotenv()` does in its working directory; there is none where it is optional.
        let _ = dotenvy::from_path(folder.join("dotenv"));
    }
    log_both("before");
    tokio::spawn(async { tracing::info!("from a task of the set-up") }).await?;
    loggers::install(&variable("LOGGERS").unwrap_or_default())?;
    log_both("set up");
    if fezz_sdk::data_dir().is_some_and(|folder| folder.join("down").exists()) {
        return Err("the database is down".into());
    }
    Ok(Router::new()
        .route("/variable/{name}", get(|Path(name): Path<String>| async move { told(variable(&name)) }))
        .route("/names", get(names))
        .route("/native/{name}", get(|Path(name): Path<String>| async move { native::variable(&name) }))
        .route(
            "/native-has/{name}",
            get(|Path(name): Path<String>| async move { native::has(&name).to_string() }),
        )
        .route("/set/{name}/{value}", get(set))
        .route("/child", get(child))
        .route("/native-files", get(|| async { native::files("files", "files/four") }))
        .route("/typed", get(typed))
        .route("/offsets", get(offsets))
        .route("/temporary", get(temporary))
        .route("/churn/{count}", get(churn))
        .route("/read/{count}", get(read))
        .route("/log", get(|| async { log_both("in a call") }))
        .route("/panic", get(|| async { panic!("in a handler") as () }))
        .route(
            "/task-panic",
            get(|| async { told(tokio::spawn(async { panic!("in a task") as () }).await.err()) }),
        ))
}

fn log_both(place: &str) {
    tracing::info!("an event {place}");
    log::info!("a record {place}");
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn told(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "unset".to_owned(), |value| value.to_string())
}

async fn names() -> String {
    let names: BTreeMap<_, _> = std::env::vars().collect();
    names.into_keys().collect::<Vec<_>>().join(" ")
}

async fn set(Path((name, value)): Path<(String, String)>) {
    native::set_variable(&name, &value);
}

/// What programs see that it starts: by std with and without variables of their own, and by C code.
async fn child() -> String {
    let script = "echo $GREETING $A $HHRF_LISTEN";
    let output = |command: &mut Command| {
        let output = command.args(["-c", script]).output();
        output.map_or_else(
            |error| error.to_string(),
            |output| String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let plain = output(&mut Command::new("sh"));
    let more = output(Command::new("sh").env("A", "b"));
    let status = native::system("test \"$GREETING\" = hello");
    let piped = native::pipes_see("GREETING", "hello");
    format!("{}|{}|{status}|{piped}", plain.trim(), more.trim())
}

async fn typed() -> String {
    let by_envy =
        envy::from_env::<Settings>().map_or_else(|error| error.to_string(), |settings| settings.greeting);
    let by_clap =
        Flags::try_parse_from(["app"]).map_or_else(|error| error.to_string(), |flags| flags.greeting);
    format!("{by_envy} {by_clap}")
}

/// Minutes ahead of UTC in the summer of 2024: by chrono and by libc.
async fn offsets() -> String {
    use chrono::{Local, TimeZone};

    let by_chrono =
        Local.timestamp_opt(1_720_000_000, 0).single().map(|time| time.offset().local_minus_utc() / 60);
    let by_time = time::OffsetDateTime::from_unix_timestamp(1_720_000_000)
        .ok()
        .and_then(|moment| time::UtcOffset::local_offset_at(moment).ok())
        .map(time::UtcOffset::whole_minutes);
    format!("{} {} {}", told(by_chrono), told(by_time), native::offset_minutes())
}

async fn temporary() -> String {
    let file = tempfile::NamedTempFile::new();
    let place = file.map_or_else(|error| error.to_string(), |file| file.path().display().to_string());
    format!("{} {place}", std::env::temp_dir().display())
}

/// Changes variables, with values that are new each time.
async fn churn(Path(count): Path<u32>) {
    for number in 0..count {
        native::set_variable(&format!("CHURN_{}", number % 40), &format!("value {number}"));
    }
}

/// Reads all variables again and again; each has to be whole.
async fn read(Path(count): Path<u32>) -> String {
    let mut seen = 0;
    for _ in 0..count {
        seen += std::env::vars()
            .filter(|(name, value)| !name.starts_with("CHURN_") || value.starts_with("value "))
            .count();
    }
    seen.to_string()
}
