//! Applications that read requests with every extractor, and with its rejections.

pub(crate) mod body;
pub(crate) mod cookies;
pub(crate) mod custom;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod multipart;
pub(crate) mod parts;
pub(crate) mod path;
pub(crate) mod query;
pub(crate) mod state;
