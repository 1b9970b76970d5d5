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
        .function(
            "c_hello@1.0.0",
            &c_hello,
            &[("GET", "/"), ("GET", "/hello/{name}"), ("POST", "/echo"), ("GET", "/count")],
        )
        .function("fix@latest", &fixture(), ROUTES)
        .start();
    host.get("/rpc/c_hello@1.0.0").assert_status(200);
    let greeting = host.get("/rpc/c_hello@1.0.0/hello/w%C3%B6rld");
    assert!(greeting.assert_status(200).text().contains("wörld"), "{greeting:?}");
    assert_eq!(host.get("/rpc/c_hello@1.0.0/count").assert_status(200).text().lines().count(), 5);
    let body: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert!(host.request("POST", "/rpc/c_hello@1.0.0/echo", &[], &body).assert_status(200).body == body);
    host.get("/rpc/fix/ping").assert_status(200).assert_text("pong");
}

/// An asynchronous function and its mistakes, in C: a task that is not started, answers that nobody knows.
#[test]
fn tasks_and_streams_in_c_are_judged_too() {
    const ASYNC: &str = r#"
#include "fezz.h"
#include <string.h>
static int drops;
static char path;
static int polls;
static uint32_t next_chunk(void *ctx, const FezzWaker *waker, FezzChunk *chunk) {
    (void)ctx; (void)waker;
    if (path == 'd') { chunk->data.len = 7; return FEZZ_STREAM_READY; }
    return 77;
}
static uint32_t poll(void *ctx, const FezzWaker *waker, FezzResponse *response) {
    static FezzStream stream;
    static FezzStream empty;
    (void)ctx;
    stream.size = sizeof stream;
    stream.next_chunk = next_chunk;
    response->status = 200;
    if (path == 'b') { return 77; }
    if (path == 'c' || path == 'd') { response->stream = &stream; return FEZZ_TASK_READY; }
    if (path == 'e') { response->stream = &empty; return FEZZ_TASK_READY; }
    if (path == 'w' && polls++ == 0) {
        const void *handle = waker->vtable->clone(waker->ctx);
        waker->vtable->wake_by_ref(waker->ctx);
        waker->vtable->wake(handle);
        return FEZZ_TASK_PENDING;
    }
    static char count[2];
    count[0] = (char)('0' + drops % 10);
    response->body = fezz_slice(count, 1);
    return FEZZ_TASK_READY;
}
static void drop(void *ctx) { (void)ctx; drops++; }
FEZZ_EXPORT uint32_t fezz_abi_version(void) { return FEZZ_ABI_VERSION; }
FEZZ_EXPORT void fezz_fetch(const FezzRequest *request, FezzResponse *response) { (void)request; response->status = 500; }
FEZZ_EXPORT void fezz_fetch_async(const FezzRequest *request, FezzTask *task) {
    path = request->path.len > 1 ? (char)request->path.ptr[1] : 'x';
    task->drop = drop;
    if (path != 'a') { task->poll = poll; }
}
"#;
    let host = bare();
    let library = c_library(host.root(), "tasks", ASYNC);
    let host = host.function("tasks@1.0.0", &library, &[("GET", "/{case}")]).start();
    for case in ['a', 'b'] {
        host.get(&format!("/rpc/tasks@1.0.0/{case}")).assert_problem(502);
    }
    for case in ['c', 'd', 'e'] {
        let request = format!("GET /rpc/tasks@1.0.0/{case} HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut client = host.connect();
        std::io::Write::write_all(&mut client, request.as_bytes()).expect("sent");
        let mut answer = Vec::new();
        assert!(std::io::Read::read_to_end(&mut client, &mut answer).is_err(), "{case}: the end was clean");
        host.wait_for_log(|line| line.message().contains("the client's connection is cut"));
    }
    host.get("/rpc/tasks@1.0.0/w").assert_status(200);
    // Each task was dropped once, those that were never started too.
    host.get("/rpc/tasks@1.0.0/x").assert_status(200).assert_text("6");
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
