//! `#[fezz_function]`: turns a Rust function into the exported symbols that the fezz host calls.
//!
//! The work goes parse, check, expand; expansion may assume input that passed the check. What is generated for each
//! symbol is one call into `fezz_sdk::entry`.

mod check;
mod expand;
mod parse;

use proc_macro::TokenStream;
use proc_macro2::TokenStream as TokenStream2;

/// Serves a function: exports the symbols of the fezz ABI from its library, which holds one such function.
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
/// What it takes and answers is up to it, see `FromRequest` and `IntoFezzResponse` in `fezz_sdk`. A plain `fn` is called
/// on a thread that may block; an `async fn` is polled in place and must not; one without arguments may answer with a
/// router, any tower service, that is made once.
///
/// # Keys
///
/// | key | means |
/// | --- | --- |
/// | `stream` | the request's body is read as a stream, `BodyStream`, and not gathered first |
/// | `threads = 2` | threads of the library's tokio runtime (feature `tokio` of the SDK); 1 where it is not given |
/// | `init = path` | a function that runs after each load, before the first call; its error refuses the load |
/// | `shutdown = path` | a function that runs after the last call, when the function is evicted or the host ends |
///
/// Routes and limits are written in `fezz.json`.
#[proc_macro_attribute]
pub fn fezz_function(arguments: TokenStream, item: TokenStream) -> TokenStream {
    attribute(arguments.into(), &item.into()).into()
}

fn attribute(arguments: TokenStream2, item: &TokenStream2) -> TokenStream2 {
    let parsed = parse::keys(arguments).and_then(|keys| {
        let function = parse::function(item)?;
        check::function(&keys, &function)?;
        Ok((keys, function))
    });
    match parsed {
        Ok((keys, function)) => expand::exports(&keys, &function),
        Err(error) => expand::with_error(item, &error),
    }
}

#[cfg(test)]
mod tests;
