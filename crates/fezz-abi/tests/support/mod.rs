//! Compiles and runs C from a test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, process};

/// Warning flags for all C here.
pub(crate) const STRICT: [&str; 4] = ["-Wall", "-Wextra", "-Werror", "-pedantic"];

/// The library of `dlopen`, before glibc 2.34.
const LIBRARIES: &[&str] = if cfg!(target_os = "linux") { &["-ldl"] } else { &[] };

/// A folder of one test, removed when dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new(test: &str) -> Self {
        let folder = env::temp_dir().join(format!("fezz-abi-{test}-{}", process::id()));
        fs::create_dir_all(&folder).expect("the folder for temporary files can be written");
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("the folder for temporary files can be written");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A leftover folder is harmless.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A file of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// Compiles one file, with `fezz.h` in its include path; warnings are errors.
#[track_caller]
pub(crate) fn compile(compiler: &str, flags: &[&str], source: &Path, output: &Path) {
    let mut command = Command::new(compiler);
    command.args(STRICT).args(flags).arg("-I").arg(repository("crates/fezz-abi/include"));
    run(command.arg("-o").args([output, source]).args(LIBRARIES));
}

/// Runs a program to its end and returns its output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => panic!("{command:?}: {error}"),
    };
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}
