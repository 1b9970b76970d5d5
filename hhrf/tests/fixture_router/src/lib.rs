//! A router whose set-up can fail: files in its data folder say whether, and count how often it is tried.

use std::error::Error;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;

use axum::Router;
use axum::routing::get;
use fezz_sdk::fezz_function;

fn file(name: &str) -> PathBuf {
    fezz_sdk::data_dir().unwrap_or_else(|| std::path::Path::new(".")).join(name)
}

fn refused() -> io::Error {
    io::Error::other("the connection was refused")
}

/// Fails if the variable `SETUP` says so, or while the data folder has a file `down`.
#[fezz_function]
pub async fn app() -> Result<Router, Box<dyn Error>> {
    let mut tries = OpenOptions::new().create(true).append(true).open(file("tries"))?;
    tries.write_all(b"x")?;
    match fezz_sdk::variable("SETUP") {
        Some("panic") => panic!("there is no such table"),
        Some("error") => return Err(anyhow::Error::new(refused()).context("the set-up is wrong").into()),
        _ => {}
    }
    if file("down").exists() {
        return Err("the database is down".into());
    }
    let tries = fs::read(file("tries"))?.len();
    Ok(Router::new().route("/", get(move || async move { tries.to_string() })))
}
