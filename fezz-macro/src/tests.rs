//! Expansions as text: tokens in, formatted source out.

use expect_test::{Expect, expect};
use proc_macro2::TokenStream;
use quote::quote;

fn check(item: &TokenStream, expected: &Expect) {
    let expansion = crate::attribute(TokenStream::new(), item);
    expected.assert_eq(&prettyplease::unparse(&syn::parse2(expansion).expect("the expansion parses")));
}

fn errors(arguments: TokenStream, item: &TokenStream) -> String {
    crate::attribute(arguments, item).to_string()
}

#[test]
fn a_function_gets_its_exports() {
    check(
        &quote! { pub fn hello(req: FezzHttpRequest) -> FezzHttpResponse { answer(req) } },
        &expect![[r##"
            #[allow(clippy::needless_pass_by_value, reason = "the host hands the request over")]
            pub fn hello(req: FezzHttpRequest) -> FezzHttpResponse {
                answer(req)
            }
            #[allow(unsafe_code, reason = "exports the symbols of the fezz ABI")]
            const _: () = {
                #[unsafe(no_mangle)]
                extern "C" fn fezz_abi_version() -> u32 {
                    ::fezz_sdk::entry::abi_version()
                }
                #[unsafe(no_mangle)]
                unsafe extern "C" fn fezz_init(host: *const ::fezz_sdk::abi::FezzHost) -> i32 {
                    unsafe { ::fezz_sdk::entry::init(host) }
                }
                #[unsafe(no_mangle)]
                unsafe extern "C" fn fezz_fetch(
                    request: *const ::fezz_sdk::abi::FezzRequest,
                    response: *mut ::fezz_sdk::abi::FezzResponse,
                ) {
                    unsafe { ::fezz_sdk::entry::fetch(hello, request, response) }
                }
            };
        "##]],
    );
}

#[test]
fn an_error_keeps_the_item() {
    check(
        &quote! { fn hello() -> FezzHttpResponse { answer() } },
        &expect![[r#"
        fn hello() -> FezzHttpResponse {
            answer()
        }
        ::core::compile_error! {
            "a function takes exactly one request: `pub fn my_function(req: FezzHttpRequest) -> FezzHttpResponse`"
        }
    "#]],
    );
}

#[test]
fn every_mistake_shows_the_signature() {
    for item in [
        quote! { async fn f(req: FezzHttpRequest) -> FezzHttpResponse {} },
        quote! { fn f<T>(req: FezzHttpRequest) -> FezzHttpResponse {} },
        quote! { fn f(&self) -> FezzHttpResponse {} },
        quote! { fn f(a: A, b: B) -> FezzHttpResponse {} },
        quote! { fn f(req: FezzHttpRequest) {} },
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
    let text = errors(TokenStream::new(), &quote! { async fn f<T>() {} });
    assert_eq!(text.matches("compile_error").count(), 4, "{text}");
}

#[test]
fn arguments_are_refused() {
    let text = errors(
        quote! { route = "/x" },
        &quote! { pub fn f(req: FezzHttpRequest) -> FezzHttpResponse { answer(req) } },
    );
    assert!(text.contains("takes no arguments"), "{text}");
}
