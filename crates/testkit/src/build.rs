//! Builds libraries and programs for tests: packages of the workspace with cargo, C functions with `cc`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The workspace's folder.
fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies in the workspace's `crates`")
}

/// The function library of a package of this workspace, built with the profile of the test.
pub fn library(package: &str) -> PathBuf {
    library_in(workspace(), package, !cfg!(debug_assertions))
}

/// The same, built with the profile `release`.
pub fn release_library(package: &str) -> PathBuf {
    library_in(workspace(), package, true)
}

fn library_in(folder: &Path, package: &str, release: bool) -> PathBuf {
    artifact(folder, package, release, |message| {
        let kinds = message["target"]["crate_types"].as_array()?;
        kinds.iter().any(|kind| kind == "cdylib").then_some(())?;
        let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
        files.map(PathBuf::from).find(|file| file.to_string_lossy().ends_with(std::env::consts::DLL_SUFFIX))
    })
}

/// The program of a package of this workspace, built with the profile of the test.
pub fn binary(package: &str) -> PathBuf {
    artifact(workspace(), package, !cfg!(debug_assertions), |message| {
        message["executable"].as_str().map(PathBuf::from)
    })
}

/// The host's program: the one named by `HHRF`, else that of this checkout, else that in the `PATH`.
#[track_caller]
pub fn host_program() -> PathBuf {
    if let Some(program) = std::env::var_os("HHRF") {
        return program.into();
    }
    if workspace().join("hhrf/Cargo.toml").exists() {
        return binary("hhrf");
    }
    find_program("hhrf", [])
        .expect("hhrf is in the PATH (`cargo install --locked hhrf`), or the variable HHRF names it")
}

/// A program in the `PATH`, or in one of these folders.
pub(crate) fn find_program(name: &str, more: impl IntoIterator<Item = PathBuf>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let programs = std::env::split_paths(&path).chain(more).map(|folder| folder.join(name));
    programs.into_iter().find(|program| program.is_file())
}

/// The library of the crate under test, and its `fezz.json`.
#[track_caller]
pub fn own_function() -> (PathBuf, Value) {
    let variable = |name| std::env::var(name).expect("cargo runs the test");
    let folder = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let file = folder.join("fezz.json");
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|error| panic!("{} cannot be read: {error}", file.display()));
    let manifest = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    (library_in(&folder, &variable("CARGO_PKG_NAME"), !cfg!(debug_assertions)), manifest)
}

/// Copies a file or folder of the crate under test into `folder`, under the same path.
#[track_caller]
pub fn copy_own(path: &str, folder: &Path) {
    let own = std::env::var("CARGO_MANIFEST_DIR").expect("cargo runs the test");
    copy(&Path::new(&own).join(path), &folder.join(path))
        .unwrap_or_else(|error| panic!("{path} cannot be copied: {error}"));
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    if !from.is_dir() {
        std::fs::create_dir_all(to.parent().unwrap_or(to))?;
        return std::fs::copy(from, to).map(drop);
    }
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let name = entry?.file_name();
        copy(&from.join(&name), &to.join(&name))?;
    }
    Ok(())
}

/// The path of a package's artifact. Builds each package once for a test process and profile.
fn artifact(
    folder: &Path,
    package: &str,
    release: bool,
    pick: impl Fn(&Value) -> Option<PathBuf>,
) -> PathBuf {
    static BUILT: Mutex<BTreeMap<(String, bool), PathBuf>> = Mutex::new(BTreeMap::new());
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (package.to_owned(), release);
    if let Some(path) = built.get(&key) {
        return path.clone();
    }
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(folder).args(["build", "--quiet", "--locked", "--message-format=json", "-p", package]);
    if release {
        cargo.arg("--release");
    }
    let output = cargo.stderr(Stdio::inherit()).output().expect("cargo can be started");
    assert!(output.status.success(), "cargo build -p {package} failed");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let path = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["reason"] == "compiler-artifact" && is_of(message, package))
        .find_map(|message| pick(&message))
        .unwrap_or_else(|| panic!("{package} has no such artifact"));
    built.insert(key, path.clone());
    path
}

/// Whether a cargo message is about this package. A package id ends in `/folder#name@version` or `/name#version`.
fn is_of(message: &Value, package: &str) -> bool {
    let id = message["package_id"].as_str().unwrap_or_default();
    id.contains(&format!("#{package}@")) || id.contains(&format!("/{package}#"))
}

/// Compiles a function in C with `fezz.h` into `folder`, and returns the library's path.
pub fn c_library(folder: &Path, name: &str, source: &str) -> PathBuf {
    let file = folder.join(format!("{name}.c"));
    std::fs::write(&file, source).expect("the C source can be written");
    let library =
        folder.join(format!("{}{name}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    let status = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1", "-pthread", "-I"])
        .arg(workspace().join("crates/fezz-abi/include"))
        .arg("-o")
        .args([&library, &file])
        .status()
        .expect("cc is installed");
    assert!(status.success(), "cc failed for {name}");
    library
}
