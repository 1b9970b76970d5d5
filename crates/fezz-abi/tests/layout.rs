//! `include/fezz.h` and this crate agree: the same structs, fields, order, types, constants and symbols.
//!
//! The tables below list both. Each compiler checks its column, a C program prints the layout of the header, and both
//! sources are searched for names that are missing from the tables.

use core::ffi::c_void;
use core::sync::atomic::AtomicU32;
use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use fezz_abi::*;

mod support;

use support::{Scratch, compile, repository, run};

/// A field: its name, its C type, and where Rust puts it.
struct Field {
    name: &'static str,
    c_type: &'static str,
    offset: usize,
    size: usize,
    align: usize,
}

struct Struct {
    name: &'static str,
    size: usize,
    align: usize,
    fields: Vec<Field>,
}

/// The structs as Rust lays them out. A field that is missing here, or has another type, does not compile.
macro_rules! structs {
    ($($name:ident { $($field:ident: $rust:ty = $c:literal,)+ })+) => {
        fn structs() -> Vec<Struct> {
            $({
                let _every_field = |value: &$name| { let $name { $($field: _),+ } = value; };
                $(let _same_type: fn(&$name) -> &$rust = |value| &value.$field;)+
            })+
            vec![$(Struct {
                name: stringify!($name),
                size: size_of::<$name>(),
                align: align_of::<$name>(),
                fields: vec![$(Field {
                    name: stringify!($field),
                    c_type: $c,
                    offset: core::mem::offset_of!($name, $field),
                    size: size_of::<$rust>(),
                    align: align_of::<$rust>(),
                }),+],
            }),+]
        }
    };
}

structs! {
    FezzSlice {
        ptr: *const u8 = "const uint8_t *",
        len: usize = "size_t",
    }
    FezzPair {
        name: FezzSlice = "FezzSlice",
        value: FezzSlice = "FezzSlice",
    }
    FezzPairs {
        ptr: *const FezzPair = "const FezzPair *",
        len: usize = "size_t",
    }
    FezzWakerVtable {
        size: usize = "size_t",
        clone: Option<unsafe extern "C" fn(*const c_void) -> *const c_void> = "const void *(*)(const void *)",
        wake: Option<unsafe extern "C" fn(*const c_void)> = "void (*)(const void *)",
        wake_by_ref: Option<unsafe extern "C" fn(*const c_void)> = "void (*)(const void *)",
        drop: Option<unsafe extern "C" fn(*const c_void)> = "void (*)(const void *)",
    }
    FezzWaker {
        ctx: *const c_void = "const void *",
        vtable: *const FezzWakerVtable = "const FezzWakerVtable *",
    }
    FezzChunk {
        size: usize = "size_t",
        data: FezzSlice = "FezzSlice",
        ctx: *mut c_void = "void *",
        release: Option<unsafe extern "C" fn(*mut c_void)> = "void (*)(void *)",
        trailers: FezzPairs = "FezzPairs",
    }
    FezzStream {
        size: usize = "size_t",
        ctx: *mut c_void = "void *",
        next_chunk: Option<unsafe extern "C" fn(*mut c_void, *const FezzWaker, *mut FezzChunk) -> u32>
            = "uint32_t (*)(void *, const FezzWaker *, FezzChunk *)",
        flags: u32 = "uint32_t",
        reserved: u32 = "uint32_t",
    }
    FezzRequest {
        size: usize = "size_t",
        method: FezzSlice = "FezzSlice",
        path: FezzSlice = "FezzSlice",
        query: FezzSlice = "FezzSlice",
        route: FezzSlice = "FezzSlice",
        params: FezzPairs = "FezzPairs",
        headers: FezzPairs = "FezzPairs",
        body: FezzSlice = "FezzSlice",
        body_stream: *const FezzStream = "const FezzStream *",
        request_id: FezzSlice = "FezzSlice",
        traceparent: FezzSlice = "FezzSlice",
        client_addr: FezzSlice = "FezzSlice",
        time_left_ns: u64 = "uint64_t",
        cancelled: *const AtomicU32 = "const uint32_t *",
        retain: unsafe extern "C" fn(*const FezzRequest) = "void (*)(const FezzRequest *)",
        release: unsafe extern "C" fn(*const FezzRequest) = "void (*)(const FezzRequest *)",
        http_version: u32 = "uint32_t",
        flags: u32 = "uint32_t",
        scheme: FezzSlice = "FezzSlice",
        authority: FezzSlice = "FezzSlice",
        trailers: FezzPairs = "FezzPairs",
        upgrade: FezzSlice = "FezzSlice",
        upgraded: *const FezzStream = "const FezzStream *",
    }
    FezzResponse {
        size: usize = "size_t",
        outcome: u32 = "uint32_t",
        status: u32 = "uint32_t",
        headers: FezzPairs = "FezzPairs",
        body: FezzSlice = "FezzSlice",
        stream: *const FezzStream = "const FezzStream *",
        ctx: *mut c_void = "void *",
        release: Option<unsafe extern "C" fn(*mut c_void)> = "void (*)(void *)",
    }
    FezzTask {
        size: usize = "size_t",
        ctx: *mut c_void = "void *",
        poll: Option<unsafe extern "C" fn(*mut c_void, *const FezzWaker, *mut FezzResponse) -> u32>
            = "uint32_t (*)(void *, const FezzWaker *, FezzResponse *)",
        drop: Option<unsafe extern "C" fn(*mut c_void)> = "void (*)(void *)",
    }
    FezzLogRecord {
        size: usize = "size_t",
        level: u32 = "uint32_t",
        line: u32 = "uint32_t",
        target: FezzSlice = "FezzSlice",
        message: FezzSlice = "FezzSlice",
        file: FezzSlice = "FezzSlice",
        request_id: FezzSlice = "FezzSlice",
        fields: FezzPairs = "FezzPairs",
    }
    FezzHost {
        size: usize = "size_t",
        abi_version: u32 = "uint32_t",
        log_level: u32 = "uint32_t",
        ctx: *mut c_void = "void *",
        function_id: FezzSlice = "FezzSlice",
        function_version: FezzSlice = "FezzSlice",
        data_dir: FezzSlice = "FezzSlice",
        variables: FezzPairs = "FezzPairs",
        log: unsafe extern "C" fn(*mut c_void, *const FezzLogRecord) = "void (*)(void *, const FezzLogRecord *)",
        assets_dir: FezzSlice = "FezzSlice",
    }
}

macro_rules! constants {
    ($($name:ident)+) => { [$((stringify!($name), $name)),+] };
}

/// Constants by their Rust names; in C each has `FEZZ_` before it.
const CONSTANTS: [(&str, u32); 27] = constants! {
    ABI_MAJOR ABI_MINOR ABI_VERSION
    STREAM_READY STREAM_PENDING STREAM_END STREAM_ERROR STREAM_BLOCKING
    OUTCOME_RETURNED OUTCOME_PANICKED OUTCOME_FAILED
    TASK_READY TASK_PENDING
    INIT_STALE
    FLAG_BODY_STREAM FLAG_BLOCKING FLAG_UPGRADE FLAG_BODY_MAY_STREAM
    HTTP_1_0 HTTP_1_1 HTTP_2 REQUEST_EMPTY_QUERY
    LOG_ERROR LOG_WARN LOG_INFO LOG_DEBUG LOG_TRACE
};

/// Symbols with their C types.
const SYMBOLS: [(&str, &str); 6] = [
    (symbol::ABI_VERSION, "uint32_t (*)(void)"),
    (symbol::FETCH, "void (*)(const FezzRequest *, FezzResponse *)"),
    (symbol::FETCH_ASYNC, "void (*)(const FezzRequest *, FezzTask *)"),
    (symbol::FLAGS, "uint32_t (*)(void)"),
    (symbol::INIT, "int32_t (*)(const FezzHost *)"),
    (symbol::SHUTDOWN, "void (*)(void)"),
];

/// The types of the symbols once more, compared with the crate's aliases by the Rust compiler.
const _: fn() = || {
    let _: Option<unsafe extern "C" fn() -> u32> = None::<AbiVersionFn>;
    let _: Option<unsafe extern "C" fn(*const FezzRequest, *mut FezzResponse)> = None::<FetchFn>;
    let _: Option<unsafe extern "C" fn(*const FezzRequest, *mut FezzTask)> = None::<FetchAsyncFn>;
    let _: Option<unsafe extern "C" fn() -> u32> = None::<FlagsFn>;
    let _: Option<unsafe extern "C" fn(*const FezzHost) -> i32> = None::<InitFn>;
    let _: Option<unsafe extern "C" fn()> = None::<ShutdownFn>;
};

#[test]
fn both_compilers_agree() {
    let scratch = Scratch::new("layout");
    let source = scratch.write("layout.c", &c_program());
    let program = scratch.path("layout");
    compile("cc", &["-std=c11"], &source, &program);
    assert_eq!(run(&mut Command::new(program)), rust_answers());
}

/// The expected output of the C program.
fn rust_answers() -> String {
    let mut text = String::new();
    for Struct { name, size, align, fields } in structs() {
        let _ = writeln!(text, "{name}: {size} bytes, aligned to {align}");
        for Field { name: field, offset, size, .. } in fields {
            let _ = writeln!(text, "{name}.{field}: {size} bytes at {offset}");
        }
    }
    for (name, value) in CONSTANTS {
        let _ = writeln!(text, "FEZZ_{name}: {value}");
    }
    text
}

/// A program that prints the layout of the header, and does not compile if a type differs.
fn c_program() -> String {
    let mut text = "#include <fezz.h>\n#include <stdio.h>\n\n".to_owned();
    let mut same_type = |what: &str, value: &str, c_type: &str| {
        let _ = writeln!(
            text,
            "_Static_assert(_Generic({value}, {c_type}: 1, default: 0), \"{what} is no {c_type}\");"
        );
    };
    for Struct { name, fields, .. } in structs() {
        for Field { name: field, c_type, .. } in fields {
            same_type(&format!("{name}.{field}"), &format!("(({name} *)0)->{field}"), c_type);
        }
    }
    for (name, c_type) in SYMBOLS {
        same_type(name, &format!("&{name}"), c_type);
    }
    text.push_str("\nint main(void) {\n");
    for Struct { name, fields, .. } in structs() {
        let _ = writeln!(
            text,
            r#"    printf("{name}: %zu bytes, aligned to %zu\n", sizeof({name}), _Alignof({name}));"#
        );
        for Field { name: field, .. } in fields {
            let _ = writeln!(
                text,
                r#"    printf("{name}.{field}: %zu bytes at %zu\n", sizeof((({name} *)0)->{field}), offsetof({name}, {field}));"#
            );
        }
    }
    for (name, _) in CONSTANTS {
        let _ = writeln!(text, r#"    printf("FEZZ_{name}: %u\n", FEZZ_{name});"#);
    }
    text.push_str("    return 0;\n}\n");
    text
}

/// A field missing from the table would leave a gap; so would implicit padding.
#[test]
fn fields_cover_their_structs() {
    for Struct { name, size, align, fields } in structs() {
        let mut end = 0_usize;
        for field in fields {
            assert_eq!(field.offset, end.next_multiple_of(field.align), "{name}.{}", field.name);
            end = field.offset + field.size;
        }
        assert_eq!(size, end.next_multiple_of(align), "{name} is longer than its fields");
    }
}

/// Appended fields are detected by `size`; a struct without one can never grow.
#[test]
fn structs_begin_with_their_size() {
    let without: Vec<_> = structs()
        .iter()
        .filter(|found| found.fields[0].name != "size" || found.fields[0].c_type != "size_t")
        .map(|found| found.name)
        .collect();
    assert_eq!(without, ["FezzSlice", "FezzPair", "FezzPairs", "FezzWaker"]);
}

/// A field that only the header has may hide in padding, where the size does not show it.
#[test]
fn the_header_has_nothing_else() {
    let header = without_comments(&read("crates/fezz-abi/include/fezz.h"));

    let found: Vec<String> = header
        .split("struct Fezz")
        .skip(1)
        .filter_map(|rest| rest.split_once('{').filter(|(name, _)| !name.contains(';')))
        .map(|(name, rest)| {
            let fields = rest.split_once('}').map_or("", |(fields, _)| fields).split(';');
            let fields = fields.map(c_name).filter(|field| !field.is_empty()).collect::<Vec<_>>();
            format!("Fezz{}: {}", name.trim(), fields.join(" "))
        })
        .collect();
    let known: Vec<String> = structs()
        .iter()
        .map(|known| {
            let fields: Vec<_> = known.fields.iter().map(|field| field.name).collect();
            format!("{}: {}", known.name, fields.join(" "))
        })
        .collect();
    assert_eq!(found, known, "structs and fields, in order");

    let constants = header.lines().filter_map(|line| line.strip_prefix("#define FEZZ_")?.split_once(' '));
    let found: Vec<_> = constants
        .filter(|(name, value)| !name.contains('(') && is_number(value))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(sorted(found), sorted(CONSTANTS.map(|(name, _)| name).into()), "constants");

    let prototypes = header.lines().filter(|line| line.starts_with("FEZZ_EXPORT "));
    let found: Vec<_> =
        prototypes.filter_map(|line| line.split('(').next()?.split(' ').next_back()).collect();
    assert_eq!(sorted(found), sorted(SYMBOLS.map(|(name, _)| name).into()), "symbols");
}

/// Finds structs and constants that only Rust has.
#[test]
fn the_crate_has_nothing_else() {
    let folder = fs::read_dir(repository("crates/fezz-abi/src")).expect("the crate's sources can be read");
    let source: String = folder
        .map(|entry| entry.expect("a file").path())
        // Conversion of wakers, not part of the contract.
        .filter(|path| !path.ends_with("bridge.rs"))
        .map(|path| fs::read_to_string(path).expect("a source file is text"))
        .collect();
    let items = |keyword: &'static str, kind: &'static str| {
        let lines = source.lines().filter_map(move |line| line.trim_start().strip_prefix(keyword));
        let items = lines.filter(move |item| item.contains(kind));
        let is_name = |letter: char| letter.is_alphanumeric() || letter == '_';
        items.map(move |item| item.split(|letter| !is_name(letter)).next().unwrap_or_default()).collect()
    };
    let structs = structs();
    assert_eq!(sorted(items("pub struct ", "")), sorted(structs.iter().map(|known| known.name).collect()));
    assert_eq!(sorted(items("pub const ", ": u32")), sorted(CONSTANTS.map(|(name, _)| name).into()));
    let known = ["ABI_VERSION", "FETCH", "FETCH_ASYNC", "FLAGS", "INIT", "SHUTDOWN"];
    assert_eq!(sorted(items("pub const ", ": &str")), known, "symbols");
}

/// The name in a C declaration: `void (*release)(void *ctx)` or `const uint8_t *ptr`.
fn c_name(declaration: &str) -> &str {
    let pointer = declaration.split_once("(*").and_then(|(_, rest)| rest.split_once(')'));
    let name = pointer.map_or(declaration, |(name, _)| name);
    name.rsplit([' ', '*', '\n']).next().unwrap_or_default()
}

/// Whether a macro is a number: `3u`, or an expression of numbers, `(A << 16 | B)`.
fn is_number(value: &str) -> bool {
    value.starts_with('(') || value.trim_end_matches('u').parse::<u32>().is_ok()
}

fn without_comments(source: &str) -> String {
    let mut pieces = source.split("/*");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once("*/").map_or("", |(_, code)| code))
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

fn read(path: &str) -> String {
    fs::read_to_string(repository(path)).expect("a file of this repository can be read")
}
