//! Applications with middleware of their own, and with the layers of tower and tower-http.

pub(crate) mod compression;
pub(crate) mod cors;
pub(crate) mod files;
pub(crate) mod guards;
pub(crate) mod headers;
pub(crate) mod limits;
pub(crate) mod middleware;
pub(crate) mod sessions;
pub(crate) mod tower_layers;
