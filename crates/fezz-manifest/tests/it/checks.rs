//! The properties of the parsers, each for any input. The fuzz targets include these files.

pub(crate) mod aliases;
pub(crate) mod env_file;
pub(crate) mod manifest;
pub(crate) mod mounts;
