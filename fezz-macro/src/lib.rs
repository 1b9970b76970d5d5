//! `#[fezz_function]`: turns a Rust function into the exported symbols that the fezz host calls.
//!
//! The work goes parse, check, expand; expansion may assume input that passed the check. What is generated for each
//! symbol is one call into `fezz_sdk::entry`.

mod check;
mod expand;
mod parse;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;

/// Serves a function: exports `fezz_fetch`, `fezz_init` and `fezz_abi_version` from its library.
///
/// The function takes one `FezzHttpRequest` and answers with a `FezzHttpResponse`; a library holds one of them.
///
/// ```
/// use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};
///
/// #[fezz_function]
/// pub fn hello(req: FezzHttpRequest) -> FezzHttpResponse {
///     FezzHttpResponse::ok().text("hello")
/// }
/// ```
#[proc_macro_attribute]
pub fn fezz_function(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(arguments.into(), &item.into()).into()
}

fn attribute(arguments: TokenStream2, item: &TokenStream2) -> TokenStream2 {
    let parsed = parse::function(arguments, item).and_then(|function| {
        check::signature(&function)?;
        Ok(function)
    });
    match parsed {
        Ok(function) => expand::exports(&function),
        Err(error) => expand::with_error(item, &error),
    }
}

#[cfg(test)]
mod tests;
