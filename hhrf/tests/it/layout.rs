//! The layout of the sources: imports run one way, and unsafe code stays where it belongs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The host's modules: each imports only those behind it. `lib.rs` and `main.rs` stand above all of them.
const MODULES: [&str; 10] =
    ["config", "serve", "admin", "http", "call", "load", "catalog", "supervise", "function", "logging"];

/// The crates of the host: what each may depend on.
const CRATES: [(&str, &[&str]); 6] = [
    ("crates/fezz-abi", &[]),
    ("crates/fezz-guard", &[]),
    ("crates/fezz-manifest", &[]),
    ("crates/fezz-runtime", &["fezz-abi"]),
    ("crates/fezz-isolation", &["fezz-manifest", "fezz-runtime"]),
    ("hhrf", &["fezz-abi", "fezz-guard", "fezz-isolation", "fezz-manifest", "fezz-runtime"]),
];

/// Where unsafe code is allowed, besides tests, fixtures and the benchmark's controls.
const UNSAFE: [&str; 3] = ["crates/fezz-abi/src/", "crates/fezz-runtime/src/", "fezz-sdk/src/entry"];

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder").to_owned()
}

/// All Rust files below a folder of the workspace, by their path in the workspace.
fn sources(folder: &str) -> BTreeMap<String, String> {
    let (root, mut found, mut folders) = (workspace(), BTreeMap::new(), vec![workspace().join(folder)]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("below the workspace").display().to_string();
                found.insert(name, fs::read_to_string(&path).expect("the file can be read"));
            }
        }
    }
    found
}

/// The modules that a source names behind `crate::`, alone or in braces, outside of comments.
fn imported(source: &str) -> BTreeSet<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let name = |text: &str| {
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        // `$crate::` is a macro's, and `some_crate::` another crate's.
        if code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => _ = names.insert(name(rest)),
            Some(list) => {
                let items = items(list).into_iter().map(str::trim).filter(|item| !item.is_empty());
                names.extend(items.map(name));
            }
        }
    }
    names
}

/// The items of a list in braces, up to its closing brace; a list within the list belongs to its item.
fn items(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut items) = (0, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[start..at]);
                return items;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    items
}

/// The imports that run upwards, as `file: importer -> imported`.
fn upward_imports(sources: &BTreeMap<String, String>) -> Vec<String> {
    let place = |module: &str| MODULES.iter().position(|known| *known == module);
    let mut upward = Vec::new();
    for (file, source) in sources {
        let below = file.strip_prefix("hhrf/src/").expect("a file of the host");
        let module = below.split(['/', '.']).next().unwrap_or_default();
        if matches!(module, "lib" | "main") {
            continue;
        }
        let own = place(module).unwrap_or_else(|| panic!("{file} is in no known module"));
        for name in imported(source) {
            match place(&name) {
                Some(found) if found >= own => {}
                Some(_) => upward.push(format!("{file}: {module} -> {name}")),
                // Items of `lib.rs` stand above every module.
                None => upward.push(format!("{file}: {module} -> lib ({name})")),
            }
        }
    }
    upward
}

#[test]
fn the_hosts_modules_import_one_way() {
    let sources = sources("hhrf/src");
    assert!(sources.len() > 30, "the sources are there");
    assert_eq!(upward_imports(&sources), Vec::<String>::new());
}

#[test]
fn an_import_that_runs_upwards_is_found() {
    for (file, line, expected) in [
        ("hhrf/src/call/mod.rs", "use crate::http::Peer;", "call -> http"),
        ("hhrf/src/load/new.rs", "use crate::{call::Caller, function::Function};", "load -> call"),
        ("hhrf/src/function/key.rs", "    let key = crate::config::load();", "function -> config"),
        ("hhrf/src/logging.rs", "use crate::name_process;", "logging -> lib (name_process)"),
        (
            "hhrf/src/http/app.rs",
            "use crate::{\n    load::{Cache, Loaded},\n    serve::bind,\n};",
            "http -> serve",
        ),
    ] {
        let mut sources = sources("hhrf/src");
        sources.entry(file.to_owned()).or_default().push_str(&format!("\n{line}\n"));
        assert_eq!(upward_imports(&sources), [format!("{file}: {expected}")]);
    }
}

#[test]
fn the_crates_depend_on_each_other_one_way() {
    for (folder, allowed) in CRATES {
        let manifest = fs::read_to_string(workspace().join(folder).join("Cargo.toml")).expect("Cargo.toml");
        let dependencies = manifest.split("\n[").filter(|section| {
            let title = section.split(']').next().unwrap_or_default();
            title.ends_with("dependencies") && !title.contains("dev-dependencies")
        });
        let names = dependencies.flat_map(str::lines).filter_map(|line| line.split(['.', ' ', '=']).next());
        for name in names.filter(|name| name.starts_with("fezz-") || *name == "hhrf") {
            assert!(allowed.contains(&name), "{folder} must not depend on {name}");
        }
    }
}

#[test]
fn unsafe_code_is_where_it_is_allowed() {
    let folders = ["hhrf/src", "crates", "fezz-sdk/src", "fezz-macro/src", "example_todosapi/src"];
    for (file, source) in folders.into_iter().flat_map(sources) {
        let may = UNSAFE.iter().any(|allowed| file.starts_with(allowed))
            || file.contains("/tests/")
            || file.ends_with("tests.rs")
            || file.starts_with("fezz-macro/");
        let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
        for line in code.filter(|_| !may) {
            let words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let is_it = words.into_iter().any(|word| word == "unsafe");
            assert!(!is_it, "{file} has unsafe code: {line}");
        }
    }
    let lib = fs::read_to_string(workspace().join("hhrf/src/lib.rs")).expect("lib.rs");
    assert!(lib.contains("#![forbid(unsafe_code)]"));
}
