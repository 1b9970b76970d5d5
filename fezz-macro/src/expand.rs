//! Third step: the exported symbols, each one call into the SDK.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, ItemFn};

/// The author's function as it was, and its exports.
pub(crate) fn exports(function: &ItemFn) -> TokenStream {
    let name = &function.sig.ident;
    quote! {
        #[allow(clippy::needless_pass_by_value, reason = "the host hands the request over")]
        #function

        #[allow(unsafe_code, reason = "exports the symbols of the fezz ABI")]
        const _: () = {
            #[unsafe(no_mangle)]
            extern "C" fn fezz_abi_version() -> u32 {
                ::fezz_sdk::entry::abi_version()
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn fezz_init(host: *const ::fezz_sdk::abi::FezzHost) -> i32 {
                // SAFETY: the host gives what the fezz ABI says.
                unsafe { ::fezz_sdk::entry::init(host) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn fezz_fetch(
                request: *const ::fezz_sdk::abi::FezzRequest,
                response: *mut ::fezz_sdk::abi::FezzResponse,
            ) {
                // SAFETY: the host gives what the fezz ABI says.
                unsafe { ::fezz_sdk::entry::fetch(#name, request, response) }
            }
        };
    }
}

/// The author's item as it was, so that one mistake gives one error and not a trail of unknown names.
pub(crate) fn with_error(item: &TokenStream, error: &Error) -> TokenStream {
    let error = error.to_compile_error();
    quote! { #item #error }
}
