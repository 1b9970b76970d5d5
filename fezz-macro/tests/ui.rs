//! Compiler errors: each misuse has one error, at the right place, that says what to write.

use std::path::Path;
use std::process::Command;

#[test]
fn misuses_are_explained() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// A separate crate, since its Cargo.toml is at fault.
#[test]
fn a_library_of_another_kind_is_refused() {
    let errors = check(&["--config", "profile.dev.panic='unwind'"], r#"["rlib"]"#);
    assert_eq!(
        errors,
        [
            r#"the host loads libraries of the kind cdylib; write in Cargo.toml: [lib] crate-type = ["cdylib"]"#
        ]
    );
}

#[test]
fn a_library_that_aborts_is_refused() {
    let errors = check(&["--config", "profile.dev.panic='abort'"], r#"["cdylib"]"#);
    assert_eq!(
        errors,
        [r#"a panic would end the host and all of its functions: remove panic = "abort" from the profile"#]
    );
    assert!(check(&["--config", "profile.dev.panic='unwind'"], r#"["cdylib"]"#).is_empty());
}

/// The errors of a crate with one valid function.
fn check(options: &[&str], crate_type: &str) -> Vec<String> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace's folder");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let sdk = workspace.join("fezz-sdk");
    let manifest = format!(
        "[package]\nname = \"misused\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[lib]\ncrate-type = {crate_type}\n\n[dependencies]\nfezz-sdk = {{ path = {sdk:?}, default-features = false }}\n\n[workspace]\n",
    );
    let source = "#[fezz_sdk::fezz_function]\npub fn hello() -> &'static str {\n    \"hello\"\n}\n";
    std::fs::create_dir(folder.path().join("src")).expect("a folder can be made");
    std::fs::write(folder.path().join("Cargo.toml"), manifest).expect("it can be written");
    std::fs::write(folder.path().join("src/lib.rs"), source).expect("it can be written");
    std::fs::copy(workspace.join("Cargo.lock"), folder.path().join("Cargo.lock")).expect("it can be copied");
    let output = Command::new(env!("CARGO"))
        .current_dir(&folder)
        .args(["check", "--quiet", "--offline", "--message-format=short", "--target-dir"])
        .arg(workspace.join("target/misuse"))
        .args(options)
        .output()
        .expect("cargo can be started");
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("error: could not compile"))
        .filter_map(|line| Some(line.split_once("error: ")?.1.to_owned()))
        .collect();
    assert_eq!(output.status.success(), errors.is_empty(), "{text}");
    errors
}
