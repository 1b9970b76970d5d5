//! Third step: generates the exported symbols, each of which makes one call into the SDK.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Error, ItemFn};

use crate::parse::Keys;

/// The author's function, unchanged, and its exports.
pub(crate) fn exports(keys: &Keys, function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    // Without arguments it may return a router, and so be async: `fezz_flags` says which, by the function's type.
    let may_be_router = function.sig.inputs.is_empty();
    let fetch_async = (may_be_router || function.sig.asyncness.is_some()).then(fetch_async);
    let flags = flags(keys.stream);
    let shutdown = keys.shutdown.as_ref().map(shutdown);
    let init = init(keys);
    // The span of the function's name, so that type errors point there.
    let entries = quote_spanned! { name.span() => ::fezz_sdk::entry::entries(&#name) };
    quote! {
        #[allow(clippy::needless_pass_by_value, reason = "the host hands the request over")]
        #function

        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a panic would end the host and all of its functions: remove panic = \"abort\" from the profile"
        );

        #[allow(unsafe_code, reason = "exports the symbols of the fezz ABI")]
        const _: () = {
            const ENTRIES: ::fezz_sdk::entry::Entries = #entries;

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
                // SAFETY: the host keeps the contract of the fezz ABI.
                unsafe { (ENTRIES.fetch)(request, response) }
            }

            #fetch_async

            #shutdown
        };
    }
}

fn flags(stream: bool) -> TokenStream {
    quote! {
        #[unsafe(no_mangle)]
        extern "C" fn fezz_flags() -> u32 {
            ENTRIES.flags(#stream)
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
            let options = ::fezz_sdk::entry::Options { threads: #threads, init: #hook, prepare: ENTRIES.prepare };
            // SAFETY: the host keeps the contract of the fezz ABI.
            unsafe { ::fezz_sdk::entry::init(host, &options) }
        }
    }
}

fn fetch_async() -> TokenStream {
    quote! {
        #[unsafe(no_mangle)]
        unsafe extern "C" fn fezz_fetch_async(
            request: *const ::fezz_sdk::abi::FezzRequest,
            task: *mut ::fezz_sdk::abi::FezzTask,
        ) {
            // SAFETY: the host keeps the contract of the fezz ABI.
            unsafe { (ENTRIES.fetch_async)(request, task) }
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

/// The author's item, unchanged, and the error: without the item, each use of its name would be an error too.
pub(crate) fn with_error(item: &TokenStream, error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    quote! { #item #error }
}
