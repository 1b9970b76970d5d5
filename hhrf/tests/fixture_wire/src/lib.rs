//! An axum application, as it would stand behind `axum::serve`, whose bodies have lengths and trailers.

mod bodies;
mod requests;

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::Router;
use axum::extract::connect_info::IntoMakeServiceWithConnectInfo;
use axum::routing::{get, post};
use fezz_sdk::fezz_function;
use tower_http::services::ServeFile;

/// What `/file` serves.
const FILE_LENGTH: usize = 100_000;

/// The application, which takes what `axum::serve` takes.
#[fezz_function]
pub async fn app() -> Result<IntoMakeServiceWithConnectInfo<Router, SocketAddr>, std::io::Error> {
    let file = fezz_sdk::data_dir().map_or_else(|| PathBuf::from("."), Into::into).join("file.bin");
    // Deployed twice, under two names, it is one file: written at once, so that nobody reads a part of it.
    let fresh = file.with_extension(std::process::id().to_string());
    std::fs::write(&fresh, vec![b'f'; FILE_LENGTH])?;
    std::fs::rename(&fresh, &file)?;
    let app = Router::new()
        .route("/json", get(bodies::json))
        .route("/text", get(bodies::text).head(bodies::text))
        .route("/empty", get(bodies::empty))
        .route_service("/file", ServeFile::new(file))
        .route("/frames/{count}", get(bodies::frames))
        .route("/large/{length}", get(bodies::large))
        .route("/stream", get(bodies::stream))
        .route("/declared/{declared}/{pieces}/{length}", get(bodies::declared))
        .route("/wrong/{declared}", get(bodies::wrong))
        .route("/own-head", get(bodies::text).head(bodies::own_head))
        .route("/status/{status}", get(bodies::status))
        .route("/trailers/{kind}", get(bodies::trailers))
        .route("/forbidden-trailers", get(bodies::forbidden_trailers))
        .route("/mirror", post(bodies::mirror))
        .route("/received", post(requests::received))
        .route("/size", post(requests::size))
        .route("/ignore", post(requests::ignore))
        .route("/late/{millis}", post(requests::late))
        .route("/form", post(requests::form))
        .route("/client", get(requests::client))
        .route("/request", get(requests::request).options(requests::request))
        .fallback(requests::request);
    Ok(app.into_make_service_with_connect_info::<SocketAddr>())
}
