//! The applications of the compatibility suite, each with the requests that are sent to it.
//!
//! They are written as one writes them for `axum::serve`. The runner serves them there; `fezz-compat-function` makes each
//! of them a function. What both answer must be the same.

mod extract;
pub mod grpc;
mod layers;
mod respond;
mod routing;
pub mod script;
mod upgrades;
mod websocket;
mod wire;

use std::path::PathBuf;

use axum::Router;

pub use layers::files::prepare;
use script::Step;

/// What an application needs from outside.
#[derive(Clone, Debug)]
pub struct Setup {
    /// A folder in which it may keep files.
    pub folder: PathBuf,
}

/// An application and its script.
#[derive(Clone, Copy, Debug)]
pub struct App {
    /// Its name, which is also its function's.
    pub name: &'static str,
    /// Makes it.
    pub router: fn(&Setup) -> Router,
    /// What is sent to it.
    pub script: fn() -> Vec<Step>,
}

macro_rules! apps {
    ($($name:literal $($module:ident)::+;)*) => {
        /// All applications.
        pub const APPS: &[App] = &[$(App { name: $name, router: $($module)::+::router, script: $($module)::+::script }),*];
    };
}

apps! {
    "path" extract::path;
    "query" extract::query;
    "form" extract::form;
    "json" extract::json;
    "multipart" extract::multipart;
    "body" extract::body;
    "parts" extract::parts;
    "state" extract::state;
    "custom-extractors" extract::custom;
    "cookies" extract::cookies;
    "responses" respond::responses;
    "redirects" respond::redirects;
    "bodies" respond::bodies;
    "extra-responses" respond::extra;
    "sse" respond::sse;
    "streams" respond::streams;
    "trailers" respond::trailers;
    "errors" respond::errors;
    "routing" routing::paths;
    "nesting" routing::nesting;
    "old-syntax" routing::old_syntax;
    "extra-routing" routing::extra;
    "middleware" layers::middleware;
    "tower-layers" layers::tower_layers;
    "compression" layers::compression;
    "cors" layers::cors;
    "header-layers" layers::headers;
    "limits" layers::limits;
    "guards" layers::guards;
    "files" layers::files;
    "sessions" layers::sessions;
    "wire" wire;
    "grpc" grpc;
    "websocket" websocket;
    "upgrades" upgrades;
}

impl App {
    /// Whether requests name hosts that are not its own: it needs a host that serves nothing else.
    pub fn alone(&self) -> bool {
        ["parts", "wire"].contains(&self.name)
    }
}

/// The application of this name.
pub fn find(name: &str) -> Option<&'static App> {
    APPS.iter().find(|app| app.name == name)
}
