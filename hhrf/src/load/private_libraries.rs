//! The private libraries that are loaded in this process. The dynamic loader knows one library of a name, and gives it to
//! each that asks for the name, whatever lies beside it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use fezz_runtime::Digest;

use super::error::LoadFailure;
use crate::function::Function;

/// Contents and function, by the library's name.
#[derive(Debug, Default)]
pub(super) struct PrivateLibraries(Mutex<HashMap<String, (Digest, String)>>);

impl PrivateLibraries {
    /// Notes that this function is about to be loaded. Libraries stay loaded, also those of a function that fails.
    ///
    /// # Errors
    /// If another library with the name of one of its own is loaded.
    pub(super) fn claim(&self, function: &Function) -> Result<(), LoadFailure> {
        let Some(assets) = &function.assets else { return Ok(()) };
        let mut loaded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, digest) in &assets.libraries {
            if let Some((_, owner)) = loaded.get(name).filter(|(loaded, _)| loaded != digest) {
                return Err(LoadFailure::OtherLibrary { name: name.clone(), owner: owner.clone() });
            }
        }
        let own = assets.libraries.iter();
        loaded.extend(own.map(|(name, digest)| (name.clone(), (*digest, function.name().to_owned()))));
        Ok(())
    }
}
