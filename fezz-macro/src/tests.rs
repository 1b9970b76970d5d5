//! Tests of the expansion: tokens in, formatted source out.

use expect_test::{Expect, expect};
use proc_macro2::TokenStream;
use quote::quote;

fn expansion(arguments: TokenStream, item: &TokenStream) -> String {
    let expansion = crate::attribute(arguments, item);
    prettyplease::unparse(&syn::parse2(expansion).expect("the expansion parses"))
}

fn check(arguments: TokenStream, item: &TokenStream, expected: &Expect) {
    expected.assert_eq(&expansion(arguments, item));
}

fn errors(arguments: TokenStream, item: &TokenStream) -> String {
    crate::attribute(arguments, item).to_string()
}

#[test]
fn a_plain_function_gets_its_exports() {
    check(
        TokenStream::new(),
        &quote! { pub fn hello(req: FezzHttpRequest) -> FezzHttpResponse { answer(req) } },
        &expect![[r##"
            #[allow(clippy::needless_pass_by_value, reason = "the host hands the request over")]
            pub fn hello(req: FezzHttpRequest) -> FezzHttpResponse {
                answer(req)
            }
            #[cfg(panic = "abort")]
            ::core::compile_error!(
                "a panic would end the host and all of its functions: remove panic = \"abort\" from the profile"
            );
            #[allow(unsafe_code, reason = "exports the symbols of the fezz ABI")]
            const _: () = {
                const ENTRIES: ::fezz_sdk::entry::Entries = ::fezz_sdk::entry::entries(&hello);
                #[unsafe(no_mangle)]
                extern "C" fn fezz_abi_version() -> u32 {
                    ::fezz_sdk::entry::abi_version()
                }
                #[unsafe(no_mangle)]
                extern "C" fn fezz_flags() -> u32 {
                    ENTRIES.flags(false)
                }
                #[unsafe(no_mangle)]
                unsafe extern "C" fn fezz_init(host: *const ::fezz_sdk::abi::FezzHost) -> i32 {
                    let options = ::fezz_sdk::entry::Options {
                        threads: 1,
                        init: || Ok(()),
                        prepare: ENTRIES.prepare,
                    };
                    unsafe { ::fezz_sdk::entry::init(host, &options) }
                }
                #[unsafe(no_mangle)]
                unsafe extern "C" fn fezz_fetch(
                    request: *const ::fezz_sdk::abi::FezzRequest,
                    response: *mut ::fezz_sdk::abi::FezzResponse,
                ) {
                    unsafe { (ENTRIES.fetch)(request, response) }
                }
            };
        "##]],
    );
}

#[test]
fn an_async_function_is_exported_as_both_entry_points() {
    check(
        quote! { stream, threads = 2, init = start, shutdown = state::stop },
        &quote! { pub async fn hello(body: BodyStream) -> String { answer(body).await } },
        &expect![[r##"
            #[allow(clippy::needless_pass_by_value, reason = "the host hands the request over")]
            pub async fn hello(body: BodyStream) -> String {
                answer(body).await
            }
            #[cfg(panic = "abort")]
            ::core::compile_error!(
                "a panic would end the host and all of its functions: remove panic = \"abort\" from the profile"
            );
            #[allow(unsafe_code, reason = "exports the symbols of the fezz ABI")]
            const _: () = {
                const ENTRIES: ::fezz_sdk::entry::Entries = ::fezz_sdk::entry::entries(&hello);
                #[unsafe(no_mangle)]
                extern "C" fn fezz_abi_version() -> u32 {
                    ::fezz_sdk::entry::abi_version()
                }
                #[unsafe(no_mangle)]
                extern "C" fn fezz_flags() -> u32 {
                    ENTRIES.flags(true)
                }
                #[unsafe(no_mangle)]
                unsafe extern "C" fn fezz_init(host: *const ::fezz_sdk::abi::FezzHost) -> i32 {
                    let options = ::fezz_sdk::entry::Options {
                        threads: 2,
                        init: || ::fezz_sdk::IntoInitOutcome::into_init_outcome(start()),
                        prepare: ENTRIES.prepare,
                    };
                    unsafe { ::fezz_sdk::entry::init(host, &options) }
                }
                #[unsafe(no_mangle)]
                unsafe extern "C" fn fezz_fetch(
                    request: *const ::fezz_sdk::abi::FezzRequest,
                    response: *mut ::fezz_sdk::abi::FezzResponse,
                ) {
                    unsafe { (ENTRIES.fetch)(request, response) }
                }
                #[unsafe(no_mangle)]
                unsafe extern "C" fn fezz_fetch_async(
                    request: *const ::fezz_sdk::abi::FezzRequest,
                    task: *mut ::fezz_sdk::abi::FezzTask,
                ) {
                    unsafe { (ENTRIES.fetch_async)(request, task) }
                }
                #[unsafe(no_mangle)]
                extern "C" fn fezz_shutdown() {
                    ::fezz_sdk::entry::shutdown(state::stop)
                }
            };
        "##]],
    );
}

#[test]
fn a_function_without_arguments_may_be_plain_or_async() {
    let text = expansion(TokenStream::new(), &quote! { fn app() -> axum::Router { router() } });
    for symbol in ["fezz_fetch(", "fezz_fetch_async(", "fezz_flags()"] {
        assert!(text.contains(&format!("fn {symbol}")), "{symbol} is missing: {text}");
    }
}

#[test]
fn an_error_keeps_the_item() {
    check(
        TokenStream::new(),
        &quote! { fn hello() { answer() } },
        &expect![[r#"
        fn hello() {
            answer()
        }
        ::core::compile_error! {
            "a function answers with a response: `pub fn my_function(req: FezzHttpRequest) -> FezzHttpResponse`"
        }
    "#]],
    );
}

#[test]
fn every_mistake_shows_the_signature() {
    for item in [
        quote! { fn f<T>(req: FezzHttpRequest) -> FezzHttpResponse {} },
        quote! { fn f(&self) -> FezzHttpResponse {} },
        quote! { fn f(a: A, b: A, c: A, d: A, e: A, f: A, g: A, h: A, i: A) -> FezzHttpResponse {} },
        quote! { fn f(req: FezzHttpRequest) {} },
        quote! { async fn f(req: FezzHttpRequest) {} },
        quote! { const fn f(req: FezzHttpRequest) -> FezzHttpResponse {} },
        quote! { unsafe fn f(req: FezzHttpRequest) -> FezzHttpResponse {} },
        quote! { extern "C" fn f(req: FezzHttpRequest) -> FezzHttpResponse {} },
        quote! { struct NotAFunction; },
    ] {
        let text = errors(TokenStream::new(), &item);
        assert!(text.contains(crate::parse::SIGNATURE), "{item} gave {text}");
        assert_eq!(text.matches("compile_error").count(), 1, "{item} gave {text}");
    }
}

#[test]
fn all_mistakes_of_a_signature_are_reported() {
    let text = errors(TokenStream::new(), &quote! { unsafe fn f<T>(&self) {} });
    assert_eq!(text.matches("compile_error").count(), 4, "{text}");
}

#[test]
fn wrong_keys_are_refused() {
    for (keys, expected) in [
        (quote! { route = "/x" }, "has no key `route`"),
        (quote! { "/x" }, "has the keys `stream`"),
        (quote! { threads }, "`threads` is a number"),
        (quote! { threads = "2" }, "`threads` is a number"),
        (quote! { threads = 0 }, "`threads` is a number from 1 to 1024"),
        (quote! { init = 1 }, "`init` is a function"),
        (quote! { stream, stream }, "may stand there once"),
    ] {
        let text =
            errors(keys.clone(), &quote! { fn f(req: FezzHttpRequest) -> FezzHttpResponse { answer(req) } });
        assert!(text.contains(expected), "{keys} gave {text}");
        assert_eq!(text.matches("compile_error").count(), 1, "{keys} gave {text}");
    }
}
