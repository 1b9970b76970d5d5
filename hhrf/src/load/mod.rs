//! Loaded functions: a cache with time-to-idle eviction over the loader of libraries.

mod cache;
mod loader;
mod recent;
mod retire;

pub(crate) use cache::{AllShutDown, Cache, Options};
pub(crate) use loader::{CallMode, LoadError, Loaded, LoadedLibrary};
pub(crate) use retire::retire;
