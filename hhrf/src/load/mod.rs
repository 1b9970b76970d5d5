//! Loaded functions: a cache with time-to-idle eviction over the loader of libraries.

mod cache;
mod error;
mod flights;
mod library;
mod loader;
mod private_libraries;
mod recent;
mod retire;
mod swap;
mod threads;
mod wear;

pub(crate) use cache::{AllShutDown, Cache, Options};
pub(crate) use error::{LoadError, seconds};
pub(crate) use library::{CallMode, LoadedLibrary};
pub(crate) use loader::Loaded;
pub(crate) use retire::retire;
