//! Applications that answer in every way.

pub(crate) mod bodies;
pub(crate) mod errors;
pub(crate) mod extra;
pub(crate) mod redirects;
pub(crate) mod responses;
pub(crate) mod sse;
pub(crate) mod streams;
pub(crate) mod trailers;
