//! `#[fezz_function]`: turns a Rust function into the exported symbols that the fezz host calls.
//!
//! Three steps: parse, check, expand. Expansion may assume input that passed the checks. Each generated symbol makes one
//! call into `fezz_sdk::entry`.

mod check;
mod expand;
mod library;
mod parse;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;

/// Exports a function through the symbols of the fezz ABI. A library has one such function.
///
/// ```
/// use fezz_sdk::{FezzHttpRequest, FezzHttpResponse, fezz_function};
///
/// #[fezz_function]
/// pub fn hello(req: FezzHttpRequest) -> FezzHttpResponse {
///     FezzHttpResponse::ok().text("hello")
/// }
/// ```
///
/// Its arguments are `FromRequest` and its result is `IntoFezzResponse`, see `fezz_sdk`. A plain `fn` is called on a
/// thread that may block; an `async fn` must not block. A function without arguments may return a router, or any other
/// tower service, or a `Result` of one. It is made once, at the load.
///
/// # Keys
///
/// | key | meaning |
/// | --- | --- |
/// | `stream` | the request's body is read as a stream, `BodyStream`, and not buffered first |
/// | `threads = 2` | worker threads of the library's tokio runtime (feature `tokio` of the SDK); default 1 |
/// | `init = path` | a function that runs after each load, before the first call; an error fails the load |
/// | `shutdown = path` | a function that runs after the last call, at eviction or when the host stops |
///
/// Routes and limits are set in `fezz.json`.
#[proc_macro_attribute]
pub fn fezz_function(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(arguments.into(), &item.into()).into()
}

fn attribute(arguments: TokenStream2, item: &TokenStream2) -> TokenStream2 {
    let parsed = parse::keys(arguments).and_then(|keys| {
        let function = parse::function(item)?;
        check::function(&keys, &function)?;
        library::check(&function.sig.ident).map_or(Ok((keys, function)), Err)
    });
    match parsed {
        Ok((keys, function)) => expand::exports(&keys, &function),
        Err(error) => expand::with_error(item, &error),
    }
}

#[cfg(test)]
mod tests;
