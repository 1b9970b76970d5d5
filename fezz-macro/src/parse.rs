//! First step: tokens to a function, without judging its signature.

use proc_macro2::TokenStream;
use syn::{Error, ItemFn, Result};

/// The signature that every error shows.
pub(crate) const SIGNATURE: &str = "pub fn my_function(req: FezzHttpRequest) -> FezzHttpResponse";

/// Reads the item under the attribute, and the attribute's own arguments.
pub(crate) fn function(arguments: TokenStream, item: &TokenStream) -> Result<ItemFn> {
    if !arguments.is_empty() {
        return Err(Error::new_spanned(
            arguments,
            "#[fezz_function] takes no arguments; routes and limits are written in fezz.json",
        ));
    }
    syn::parse2(item.clone()).map_err(|_| {
        Error::new_spanned(item, format!("#[fezz_function] stands on a function: `{SIGNATURE}`"))
    })
}
