//! The header compiles as C and C++, and the examples of the documentation work.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

mod support;

use support::{Scratch, compile, repository, run};

/// More warnings than authors enable, so that the header is quiet under their flags too.
const PICKY: [&str; 6] =
    ["-fsyntax-only", "-Wshadow", "-Wconversion", "-Wcast-qual", "-Wundef", "-Wfloat-equal"];

/// Uses every macro and helper of the header.
const EVERYTHING: &str = r#"
#include <fezz.h>
#include <fezz.h>

#if FEZZ_ABI_VERSION < 0x10000
#error "the version is usable by the preprocessor"
#endif

static const FezzSlice NAME = FEZZ_STR_INIT("name");
static const FezzPair TEXT[] = {FEZZ_PAIR_INIT("content-type", "text/plain"), FEZZ_PAIR_INIT("x", "")};
static const FezzHost *host;

uint32_t fezz_abi_version(void) FEZZ_NOEXCEPT { return FEZZ_ABI_VERSION; }
uint32_t fezz_flags(void) FEZZ_NOEXCEPT { return FEZZ_FLAG_BODY_STREAM | FEZZ_FLAG_BLOCKING; }
void fezz_shutdown(void) FEZZ_NOEXCEPT {}
int32_t fezz_init(const FezzHost *table) FEZZ_NOEXCEPT {
    host = table;
    return fezz_variable(host, "KEY").len == 0;
}
void fezz_fetch_async(const FezzRequest *request, FezzTask *task) FEZZ_NOEXCEPT { (void)request; (void)task; }
void fezz_fetch(const FezzRequest *request, FezzResponse *response) FEZZ_NOEXCEPT {
    fezz_log(host, request, FEZZ_LOG_DEBUG, fezz_header(request, "user-agent"));
    if (fezz_is_cancelled(request) || !FEZZ_HAS(FezzRequest, request, release)) {
        fezz_respond_failed(response, FEZZ_STR("no"));
    } else if (fezz_slice_eq(fezz_param(request, "id"), NAME) && fezz_find(request->headers, "accept")) {
        fezz_respond_static(response, 200, FEZZ_PAIRS(TEXT), FEZZ_STR("yes"));
    }
}
"#;

#[test]
fn the_header_is_quiet_in_c_and_in_cpp() {
    let scratch = Scratch::new("header");
    let (c, cpp) = (scratch.write("all.c", EVERYTHING), scratch.write("all.cpp", EVERYTHING));
    let output = scratch.path("none");
    let check = |compiler, standard: &str, own: &[&str], source| {
        let flags = [&PICKY[..], own, &[standard]].concat();
        compile(compiler, &flags, source, &output);
    };
    for standard in ["-std=c11", "-std=gnu17"] {
        check("cc", standard, &["-Wstrict-prototypes"], &c);
    }
    match ["c++", "g++"].into_iter().find(|compiler| installed(compiler)) {
        Some(compiler) => {
            for standard in ["-std=c++17", "-std=c++20"] {
                check(compiler, standard, &["-Wold-style-cast"], &cpp);
            }
        }
        None => println!("no C++ compiler is installed: the header was not checked as C++"),
    }
}

/// Whether this program can be started.
fn installed(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Compiles a library with the flags that the documentation recommends.
fn library(scratch: &Scratch, source: &str) -> PathBuf {
    let file = scratch.write("function.c", source);
    let library = scratch.path(&format!("{DLL_PREFIX}function{DLL_SUFFIX}"));
    compile("cc", &["-std=c11", "-shared", "-fPIC"], &file, &library);
    library
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).expect("a file of this repository can be read")
}

/// A minimal host, which makes one call and prints the response.
fn curl(scratch: &Scratch) -> PathBuf {
    let curl = scratch.path("curl");
    compile("cc", &["-std=c11"], &repository("crates/fezz-abi/tests/support/curl.c"), &curl);
    curl
}

#[test]
fn the_example_in_c_answers() {
    let scratch = Scratch::new("example");
    let (curl, library) = (curl(&scratch), library(&scratch, &read("examples/c_hello/hello.c")));
    let call = |arguments: &[&str]| {
        let printed = run(Command::new(&curl).arg(&library).args(arguments));
        let answer = printed.strip_prefix("[log 3 test] ready to greet\n").expect("a record of fezz_init");
        answer.strip_suffix("[log 3 test] good-bye\n").expect("a record of fezz_shutdown").to_owned()
    };
    let text = |body: &str| format!("200\ncontent-type: text/plain; charset=utf-8\n{body}");
    let bytes = |body: &str| format!("200\ncontent-type: application/octet-stream\n{body}");

    assert_eq!(call(&["GET", "/", ""]), text("Hello from C!\n"));
    assert_eq!(call(&["GET", "/hello/{name}", "", "name", "Zoë"]), text("Hello, Zoë!\n"));
    assert_eq!(call(&["GET", "/hello/{name}", ""]), text("Hello, !\n"));
    assert_eq!(call(&["POST", "/echo", "some bytes"]), bytes("some bytes"));
    assert_eq!(call(&["POST", "/echo", ""]), bytes(""));
    let chunks: String = (1..=5).map(|number| format!("<0> chunk {number}\n")).collect();
    assert_eq!(call(&["GET", "/count", ""]), text(&(chunks + "<2> \n")));
}

#[test]
fn the_function_in_the_document_answers() {
    let scratch = Scratch::new("document");
    let document = read("docs/abi.md");
    let code = document.split("```c\n").nth(1).and_then(|rest| rest.split("```").next());
    let library = library(&scratch, code.expect("docs/abi.md shows a function"));
    let printed = run(Command::new(curl(&scratch)).arg(library).args(["GET", "/", ""]));
    assert_eq!(printed, "200\ncontent-type: text/plain\nhello\n");
}
