//! What functions answer, in C, and what the host makes of answers that cannot be sent.

use fezz_testkit::{c_library, library};

use super::{ROUTES, bare, fixture};

/// A function that answers as its path says, in ways that a Rust function cannot.
const ODD: &str = r#"
#include "fezz.h"
#include <stdlib.h>
#include <string.h>

static _Thread_local FezzPair header;

FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }

FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    FezzSlice path = request->path;
    response->status = 200;
    header.name = FEZZ_STR("x-odd");
    header.value = FEZZ_STR("fine");
    response->headers.ptr = &header;
    response->headers.len = 1;
    response->body = FEZZ_STR("body");
    switch (path.len > 1 ? path.ptr[1] : 0) {
    case 'a': response->status = 99; break;
    case 'b': response->status = 1000; break;
    case 'c': response->status = 70000; break;
    case 'd': header.value = FEZZ_STR("a\r\nx-injected: b"); break;
    case 'e': header.name = FEZZ_STR("x odd"); break;
    case 'f': response->body.ptr = NULL; response->body.len = 10; break;
    case 'g': response->headers.ptr = NULL; break;
    case 'h': header.value.ptr = NULL; header.value.len = 5; break;
    case 'i': response->outcome = 77; break;
    case 'j': memset(response, 0, sizeof *response); break;
    case 'k': response->status = 101; break;
    case 'l': response->body.len = SIZE_MAX; break;
    case 'm': response->headers.len = SIZE_MAX / 2; break;
    default: break;
    }
}
"#;

#[test]
fn answers_that_cannot_be_sent_are_502_and_one_log_line() {
    let host = bare();
    let odd = c_library(host.root(), "odd", ODD);
    let host = host
        .function("odd@1.0.0", &odd, &[("GET", "/{case}")])
        .function("fix@latest", &fixture(), ROUTES)
        .start();
    for case in 'a'..='m' {
        let id = format!("case-{case}");
        let answer = host.request("GET", &format!("/rpc/odd@1.0.0/{case}"), &[("x-request-id", &id)], b"");
        assert_eq!(answer.assert_problem(502).header("x-injected"), None);
        host.wait_for_log(|line| line.field("request_id") == id);
        let lines = host.log().into_iter().filter(|line| line.field("request_id") == id);
        assert_eq!(lines.count(), 1, "case {case}");
    }
    let fine = host.get("/rpc/odd@1.0.0/z");
    assert_eq!(fine.assert_status(200).assert_text("body").header("x-odd"), Some("fine"));
    host.get("/rpc/fix/ping").assert_status(200);
}

#[test]
fn the_c_example_and_a_rust_function_answer_side_by_side() {
    let host = bare();
    let source = include_str!("../../../examples/c_hello/hello.c");
    let c_hello = c_library(host.root(), "c_hello", source);
    let host = host
        .function("c_hello@1.0.0", &c_hello, &[("GET", "/"), ("GET", "/hello/{name}"), ("POST", "/echo")])
        .function("fix@latest", &fixture(), ROUTES)
        .start();
    host.get("/rpc/c_hello@1.0.0").assert_status(200);
    let greeting = host.get("/rpc/c_hello@1.0.0/hello/w%C3%B6rld");
    assert!(greeting.assert_status(200).text().contains("wörld"), "{greeting:?}");
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert!(host.request("POST", "/rpc/c_hello@1.0.0/echo", &[], &body).assert_status(200).body == body);
    host.get("/rpc/fix/ping").assert_status(200).assert_text("pong");
}

#[test]
fn memory_is_released_once_for_each_answer() {
    const COUNTING: &str = r#"
#include "fezz.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static int live;
static void give_back(void *ctx) { free(ctx); __atomic_fetch_sub(&live, 1, __ATOMIC_SEQ_CST); }
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) {
    (void)request;
    int now = __atomic_add_fetch(&live, 1, __ATOMIC_SEQ_CST);
    char *body = malloc(100000);
    memset(body, ' ', 100000);
    response->status = 200;
    response->body.ptr = (const uint8_t *)body;
    response->body.len = 100000;
    body[snprintf(body, 100000, "%d", now)] = ' ';
    response->ctx = body;
    response->release = give_back;
}
"#;
    let host = bare();
    let counting = c_library(host.root(), "counting", COUNTING);
    let host = host.function("counting@1.0.0", &counting, &[("ANY", "/")]).start();
    for method in ["GET", "POST"] {
        for _ in 0..200 {
            let answer = host.request(method, "/rpc/counting@1.0.0", &[], b"");
            // Its own answer is alive, and at most the one before it, which may still be on its way out of hyper.
            let alive: i32 = answer.assert_status(200).text()[..8].trim().parse().expect("a number");
            assert!((1..=2).contains(&alive), "{alive} answers are alive");
        }
    }
}

#[test]
fn library_names_resolve() {
    // The testkit finds libraries by package; a typo must not go unnoticed.
    assert!(std::panic::catch_unwind(|| library("fezz-no-such-package")).is_err());
}
