//! An application with files of its own: it serves, lists and reads them, and tries to change them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

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
        .route("/write", get(write))
}

async fn cwd() -> String {
    std::env::current_dir().map_or_else(|error| error.to_string(), |path| path.display().to_string())
}

async fn read() -> String {
    let text = tokio::fs::read_to_string("assets/relative.txt").await;
    text.unwrap_or_else(|error| error.to_string())
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
    ];
    results
        .map(|result| result.map_or_else(|error| error.kind().to_string(), |()| "done".to_owned()))
        .join(", ")
}
