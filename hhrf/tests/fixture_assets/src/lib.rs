//! An application with files of its own: it serves, lists and reads them, and tries to change them.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, io};

use axum::Router;
use axum::routing::get;
use fezz_sdk::fezz_function;
use tower_http::services::ServeDir;

/// What `number` was when the application was made.
static FIRST: OnceLock<String> = OnceLock::new();

fn folder() -> PathBuf {
    fezz_sdk::assets().unwrap_or(Path::new("/nowhere")).to_owned()
}

fn text(path: &str) -> String {
    fs::read_to_string(folder().join(path)).unwrap_or_else(|error| error.to_string())
}

/// The application.
#[fezz_function]
pub fn app() -> Router {
    FIRST.get_or_init(|| text("number"));
    Router::new()
        .nest_service("/files", ServeDir::new(folder()))
        .nest_service("/relative", ServeDir::new("assets"))
        .route("/folder", get(|| async { folder().display().to_string() }))
        .route("/cwd", get(cwd))
        .route("/numbers", get(numbers))
        .route("/read", get(read))
        .route("/relative-paths", get(relative_paths))
        .route("/write", get(write))
}

async fn cwd() -> String {
    std::env::current_dir().map_or_else(|error| error.to_string(), |path| path.display().to_string())
}

async fn read() -> String {
    let text = tokio::fs::read_to_string("assets/relative.txt").await;
    text.unwrap_or_else(|error| error.to_string())
}

/// What each kind of call finds by a relative path; the last ones find nothing.
async fn relative_paths() -> String {
    let shown = |result: io::Result<String>| result.unwrap_or_else(|error| error.kind().to_string());
    let names = |folder: &str| {
        let mut names: Vec<_> = fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<_>>()?;
        names.sort();
        Ok(format!("{names:?}"))
    };
    let below = |path: PathBuf| Ok(path.strip_prefix(folder()).unwrap_or(&path).display().to_string());
    [
        fs::read_to_string("assets/relative.txt"),
        tokio::fs::read_to_string("./assets/../assets/relative.txt").await,
        names("assets"),
        fs::metadata("assets/relative.txt").map(|file| file.len().to_string()),
        fs::symlink_metadata("assets").map(|file| file.is_dir().to_string()),
        fs::exists("assets/relative.txt").map(|exists| exists.to_string()),
        fs::canonicalize("assets/relative.txt").and_then(below),
        fs::canonicalize(".").and_then(below),
        std::path::absolute("assets").and_then(below),
        fs::read_link("assets").map(|path| path.display().to_string()),
        fs::read_to_string(""),
        fs::canonicalize("").and_then(below),
        names("fezz-none"),
    ]
    .map(shown)
    .join("\n")
}

/// Three numbers that belong together: from the start of this build, and from two files now.
async fn numbers() -> String {
    let first = FIRST.get().cloned().unwrap_or_default();
    format!("{first} {} {}", text("number"), text("deep/er/number"))
}

async fn write() -> String {
    let results = [
        fs::write(folder().join("number"), "changed"),
        fs::write(folder().join("new"), "new"),
        fs::remove_file(folder().join("number")),
        fs::write("relative-new", "new"),
        fs::create_dir("relative-new"),
        fs::rename("number", "relative-new"),
        fs::remove_file("number"),
    ];
    results
        .map(|result| result.map_or_else(|error| error.kind().to_string(), |()| "done".to_owned()))
        .join(", ")
}
