//! First step: parses the function and the attribute's keys, without checking their meaning.

use proc_macro2::{Span, TokenStream};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::{Error, Ident, ItemFn, LitInt, Path, Result, Token};

/// The signature that every error shows.
pub(crate) const SIGNATURE: &str = "pub fn my_function(req: FezzHttpRequest) -> FezzHttpResponse";
/// The keys of the attribute, as errors show them.
const KEYS: &str = "`stream`, `threads = 2`, `init = my_init` and `shutdown = my_shutdown`";

/// The attribute's keys.
#[derive(Default)]
pub(crate) struct Keys {
    pub(crate) stream: bool,
    pub(crate) threads: Option<LitInt>,
    pub(crate) init: Option<Path>,
    pub(crate) shutdown: Option<Path>,
}

/// One key with its value.
enum Key {
    Stream(Span),
    Threads(Span, LitInt),
    Init(Span, Path),
    Shutdown(Span, Path),
}

impl Parse for Key {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let name: Ident = input
            .parse()
            .map_err(|error| Error::new(error.span(), format!("#[fezz_function] has the keys {KEYS}")))?;
        let span = name.span();
        match name.to_string().as_str() {
            "stream" => Ok(Self::Stream(span)),
            "threads" => Ok(Self::Threads(span, value(input, "threads", "a number: `threads = 2`")?)),
            "init" => Ok(Self::Init(span, value(input, "init", "a function: `init = my_init`")?)),
            "shutdown" => {
                Ok(Self::Shutdown(span, value(input, "shutdown", "a function: `shutdown = my_shutdown`")?))
            }
            other => Err(Error::new(
                span,
                format!(
                    "#[fezz_function] has no key `{other}`, but {KEYS}; routes and limits are written in fezz.json"
                ),
            )),
        }
    }
}

fn value<T: Parse>(input: ParseStream<'_>, key: &str, what: &str) -> Result<T> {
    let wanted = |error: Error| Error::new(error.span(), format!("`{key}` is {what}"));
    input.parse::<Token![=]>().map_err(wanted)?;
    input.parse().map_err(wanted)
}

/// Parses the attribute's keys; each may be given once.
pub(crate) fn keys(arguments: TokenStream) -> Result<Keys> {
    let list = Punctuated::<Key, Token![,]>::parse_terminated.parse2(arguments)?;
    let mut keys = Keys::default();
    for key in list {
        let (span, repeated) = match key {
            Key::Stream(span) => (span, std::mem::replace(&mut keys.stream, true)),
            Key::Threads(span, threads) => (span, keys.threads.replace(threads).is_some()),
            Key::Init(span, init) => (span, keys.init.replace(init).is_some()),
            Key::Shutdown(span, shutdown) => (span, keys.shutdown.replace(shutdown).is_some()),
        };
        if repeated {
            return Err(Error::new(span, "a key of #[fezz_function] may stand there once"));
        }
    }
    Ok(keys)
}

/// Parses the item under the attribute.
pub(crate) fn function(item: &TokenStream) -> Result<ItemFn> {
    syn::parse2(item.clone()).map_err(|error| {
        // A method in an impl block is a parse error at its `self`: point there.
        let place = if error.to_string().contains("self") { error.span() } else { first_span(item) };
        Error::new(place, format!("#[fezz_function] stands on a free function: `{SIGNATURE}`"))
    })
}

fn first_span(item: &TokenStream) -> Span {
    item.clone().into_iter().next().map_or_else(Span::call_site, |token| token.span())
}
