//! `ServeDir` and `ServeFile`: ranges, conditional requests, precompressed files, indexes, fallbacks.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_http::services::{ServeDir, ServeFile};

use crate::Setup;
use crate::script::{Request, Step, get as fetch, head, options, post, steps};

/// The time at which all files were last changed: it is in their answers.
const CHANGED: u64 = 1_700_000_000;

const FILES: [(&str, &str); 12] = [
    ("index.html", "<h1>index</h1>"),
    ("digits.txt", "0123456789"),
    ("style.css", "body {}"),
    ("style.css.gz", "not really gzip"),
    ("style.css.br", "not really brotli"),
    ("style.css.zst", "not really zstd"),
    ("style.css.zz", "not really deflate"),
    ("noextension", "plain"),
    ("empty.bin", ""),
    ("sub/index.html", "<h1>sub</h1>"),
    ("sub/a b.json", "{}"),
    ("404.html", "not here"),
];

/// Writes the files into an application's folder. The runner does it: a worker's sandbox lets no function date files.
///
/// # Errors
/// A file cannot be written.
pub fn prepare(folder: &Path) -> std::io::Result<()> {
    let folder = folder.join("files");
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(CHANGED);
    fs::create_dir_all(folder.join("sub"))?;
    fs::create_dir_all(folder.join("no-index"))?;
    for (name, text) in FILES {
        let file = folder.join(name);
        fs::write(&file, text)?;
        fs::File::options().write(true).open(file)?.set_modified(changed)?;
    }
    let large = folder.join("large.txt");
    fs::write(&large, "l".repeat(300_000))?;
    fs::File::options().write(true).open(large)?.set_modified(changed)
}

pub(crate) fn router(setup: &Setup) -> Router {
    let folder = setup.folder.join("files");
    let plain = ServeDir::new(&folder);
    let precompressed = ServeDir::new(&folder)
        .precompressed_gzip()
        .precompressed_br()
        .precompressed_zstd()
        .precompressed_deflate();
    let with_page = ServeDir::new(&folder).not_found_service(ServeFile::new(folder.join("404.html")));
    let single_page = ServeDir::new(&folder).fallback(ServeFile::new(folder.join("index.html")));
    let with_handler = ServeDir::new(&folder)
        .append_index_html_on_directories(false)
        .call_fallback_on_method_not_allowed(true);
    let with_handler = with_handler.fallback(get(|| async { (StatusCode::NOT_FOUND, "from a handler") }));
    Router::new()
        .nest_service("/plain", plain)
        .nest_service("/precompressed", precompressed)
        .nest_service("/page", with_page)
        .nest_service("/single", single_page)
        .nest_service("/handler", with_handler)
        .nest_service("/chunks", ServeDir::new(&folder).with_buf_chunk_size(1000))
        .route_service("/file", ServeFile::new(folder.join("digits.txt")))
        .route_service("/file-missing", ServeFile::new(folder.join("missing.txt")))
        .route_service("/file-gz", ServeFile::new(folder.join("style.css")).precompressed_gzip())
        .fallback_service(ServeDir::new(folder.join("sub")))
}

fn variants(path: String) -> Vec<Request> {
    let since = |name: &'static str, value: &'static str| fetch(path.clone()).header(name, value);
    let ranges = [
        "bytes=0-3",
        "bytes=5-",
        "bytes=-4",
        "bytes=0-0",
        "bytes=20-30",
        "bytes=3-1",
        "bytes=0-1,4-5",
        "lines=0-1",
        "bytes=",
        "bytes=0-99999999",
    ];
    let mut requests: Vec<_> = ranges.into_iter().map(|range| since("range", range)).collect();
    requests.extend([
        fetch(path.clone()),
        head(path.clone()),
        options(path.clone()),
        post(path.clone()).body("x"),
        since("if-modified-since", "Tue, 14 Nov 2023 22:13:20 GMT"),
        since("if-modified-since", "Mon, 13 Nov 2023 22:13:20 GMT"),
        since("if-unmodified-since", "Mon, 13 Nov 2023 22:13:20 GMT"),
        since("if-unmodified-since", "Tue, 14 Nov 2023 22:13:20 GMT"),
        since("if-none-match", "*"),
        since("if-modified-since", "nonsense"),
        since("accept-encoding", "gzip"),
        since("accept-encoding", "br, zstd;q=0.5"),
        since("accept-encoding", "deflate"),
        since("range", "bytes=0-3").header("if-range", "Tue, 14 Nov 2023 22:13:20 GMT"),
        head(path.clone()).header("range", "bytes=0-3"),
        head(path).header("accept-encoding", "gzip"),
    ]);
    requests
}

pub(crate) fn script() -> Vec<Step> {
    let detailed = [
        "/plain/digits.txt",
        "/precompressed/style.css",
        "/file",
        "/file-gz",
        "/plain/large.txt",
        "/plain/empty.bin",
        "/chunks/large.txt",
    ];
    let detailed = detailed.into_iter().flat_map(|path| variants(path.to_owned()));
    let prefixes = ["/plain", "/page", "/single", "/handler", ""];
    let names = [
        "",
        "/",
        "/index.html",
        "/sub",
        "/sub/",
        "/sub/a%20b.json",
        "/missing.txt",
        "/noextension",
        "/no-index",
        "/no-index/",
        "/digits.txt/",
        "/sub/%2e%2e/digits.txt",
        "/a%00b",
        "/sub%2Findex.html",
        "/a%20b.json",
        "/%5Cx",
    ];
    let named = prefixes
        .into_iter()
        .flat_map(|prefix| names.map(|name| format!("{prefix}{name}")))
        .filter(|path| !path.is_empty())
        .flat_map(|path| [fetch(path.clone()), post(path)]);
    steps([fetch("/file-missing")].into_iter().chain(detailed).chain(named))
}
