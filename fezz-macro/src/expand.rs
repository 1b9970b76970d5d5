//! Third step: the exported symbols, each one call into the SDK.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, Ident, ItemFn};

use crate::parse::Keys;

/// The author's function as it was, and its exports.
pub(crate) fn exports(keys: &Keys, function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    // Without arguments it may be one that makes a router: its type knows, and `fezz_flags` says it.
    let may_be_polled = function.sig.asyncness.is_some() || function.sig.inputs.is_empty();
    let fetch_async = may_be_polled.then(|| fetch_async(name));
    let flags = (function.sig.inputs.is_empty() || keys.stream).then(|| flags(name, keys.stream));
    let shutdown = keys.shutdown.as_ref().map(shutdown);
    let init = init(keys);
    let served = served(function);
    quote! {
        #[allow(clippy::needless_pass_by_value, reason = "the host hands the request over")]
        #function

        #[allow(unsafe_code, reason = "exports the symbols of the fezz ABI")]
        const _: () = {
            #served

            #[unsafe(no_mangle)]
            extern "C" fn fezz_abi_version() -> u32 {
                ::fezz_sdk::entry::abi_version()
            }

            #flags

            #init

            #[unsafe(no_mangle)]
            unsafe extern "C" fn fezz_fetch(
                request: *const ::fezz_sdk::abi::FezzRequest,
                response: *mut ::fezz_sdk::abi::FezzResponse,
            ) {
                // SAFETY: the host gives what the fezz ABI says.
                unsafe { ::fezz_sdk::entry::fetch(#name, request, response) }
            }

            #fetch_async

            #shutdown
        };
    }
}

/// Says once, at the function's name, what its types do not fulfil, and that panics have to unwind.
fn served(function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    let check = quote_spanned! { name.span() => ::fezz_sdk::entry::is_served(&#name) };
    quote! {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a panic would end the host and all of its functions: remove panic = \"abort\" from the profile"
        );

        const _: () = #check;
    }
}

fn flags(name: &Ident, stream: bool) -> TokenStream {
    quote! {
        #[unsafe(no_mangle)]
        extern "C" fn fezz_flags() -> u32 {
            ::fezz_sdk::entry::flags(&#name, #stream)
        }
    }
}

fn init(keys: &Keys) -> TokenStream {
    let threads = keys.threads.as_ref().map_or_else(|| quote! { 1 }, |threads| quote! { #threads });
    let hook = keys.init.as_ref().map_or_else(
        || quote! { || Ok(()) },
        |hook| quote_spanned! { hook.span() => || ::fezz_sdk::IntoInitOutcome::into_init_outcome(#hook()) },
    );
    quote! {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn fezz_init(host: *const ::fezz_sdk::abi::FezzHost) -> i32 {
            let options = ::fezz_sdk::entry::Options { threads: #threads, init: #hook };
            // SAFETY: the host gives what the fezz ABI says.
            unsafe { ::fezz_sdk::entry::init(host, &options) }
        }
    }
}

fn fetch_async(name: &Ident) -> TokenStream {
    quote! {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn fezz_fetch_async(
            request: *const ::fezz_sdk::abi::FezzRequest,
            task: *mut ::fezz_sdk::abi::FezzTask,
        ) {
            // SAFETY: the host gives what the fezz ABI says.
            unsafe { ::fezz_sdk::entry::fetch_async(#name, request, task) }
        }
    }
}

fn shutdown(hook: &syn::Path) -> TokenStream {
    quote! {
        #[unsafe(no_mangle)]
        extern "C" fn fezz_shutdown() {
            ::fezz_sdk::entry::shutdown(#hook)
        }
    }
}

/// The author's item as it was, so that one mistake gives one error and not a trail of unknown names.
pub(crate) fn with_error(item: &TokenStream, error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    quote! { #item #error }
}
