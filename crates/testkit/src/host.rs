//! [`Host`] prepares a functions folder and starts the host on it; [`Running`] talks to it and stops it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::Running;

/// A host that has not been started yet.
#[derive(Debug)]
pub struct Host {
    root: TempDir,
    binary: PathBuf,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    /// What a shell does before it becomes the host.
    before: Option<String>,
    /// The size of the disk that its state lies on, where it has one of its own.
    disk: Option<String>,
}

impl Host {
    /// A host with an empty functions folder.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it builds a program and makes a folder")]
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(root.path().join("functions")).expect("the functions folder can be made");
        let binary = crate::host_program();
        Self { root, binary, variables: Vec::new(), arguments: Vec::new(), before: None, disk: None }
    }

    /// Deploys `library` as `id@version`, serving these methods and paths.
    #[track_caller]
    pub fn function(self, name: &str, library: &Path, routes: &[(&str, &str)]) -> Self {
        self.function_with(name, library, routes, json!({}))
    }

    /// As [`function`](Self::function), with further keys of `fezz.json`.
    #[track_caller]
    #[expect(clippy::needless_pass_by_value, reason = "callers write json!({…}) in place")]
    pub fn function_with(self, name: &str, library: &Path, routes: &[(&str, &str)], more: Value) -> Self {
        let (id, version) = name.split_once('@').expect("a function's name is id@version");
        let routes: Vec<_> =
            routes.iter().map(|(method, path)| json!({ "path": path, "method": method })).collect();
        let mut manifest = json!({ "id": id, "version": version, "routes": routes });
        for (key, value) in more.as_object().expect("further keys are an object") {
            manifest[key] = value.clone();
        }
        self.deploy(name, library, manifest)
    }

    /// Deploys `library` as `id@version` with this `fezz.json`, whose `entry` is set.
    #[track_caller]
    pub fn deploy(self, name: &str, library: &Path, mut manifest: Value) -> Self {
        let file = library.file_name().and_then(|file| file.to_str()).expect("a library has a name");
        manifest["entry"] = file.into();
        let folder = self.folder(name);
        std::fs::copy(library, folder.join(file)).expect("the library can be copied");
        std::fs::write(folder.join("fezz.json"), manifest.to_string()).expect("fezz.json can be written");
        self
    }

    /// A folder below the functions folder, made if need be.
    #[track_caller]
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.functions().join(name);
        std::fs::create_dir_all(&folder).expect("a function's folder can be made");
        folder
    }

    /// The functions folder.
    pub fn functions(&self) -> PathBuf {
        self.root.path().join("functions")
    }

    /// The folder that all else of this host lies in; gone with the host.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Sets an environment variable of the host.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts this program instead of the host that was built.
    #[must_use]
    pub fn binary(mut self, program: &Path) -> Self {
        program.clone_into(&mut self.binary);
        self
    }

    /// Adds a command-line argument.
    #[must_use]
    pub fn arg(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts it from a shell that has done this before, in the same process: `ulimit -n 100`.
    #[must_use]
    pub fn after(mut self, script: &str) -> Self {
        self.before = Some(script.to_owned());
        self
    }

    /// Puts the state folder on a disk of its own, in memory and as small as this (`400k`), which only the host sees.
    /// Linux only.
    #[must_use]
    pub fn state_on_a_disk_of(mut self, size: &str) -> Self {
        self.disk = Some(size.to_owned());
        self
    }

    /// Where that disk is mounted, as the host sees it.
    pub fn disk(&self) -> PathBuf {
        self.root.path().join("disk")
    }

    /// The program that is started: the host, or what makes its disk and then becomes the host.
    fn program(&self) -> Command {
        if let Some(script) = &self.before {
            let mut command = Command::new("sh");
            command.args(["-c", &format!(r#"{script}; exec "$0" "$@""#)]).arg(&self.binary);
            return command;
        }
        let Some(size) = &self.disk else { return Command::new(&self.binary) };
        let disk = self.disk();
        std::fs::create_dir_all(&disk).expect("the disk's folder can be made");
        let mut command = Command::new("unshare");
        if !rustix::process::geteuid().is_root() {
            command.arg("--map-root-user");
        }
        let script = format!(r#"mount -t tmpfs -o size={size} tmpfs "$0" && exec "$@" --state-dir "$0""#);
        command.args(["--mount", "sh", "-c", &script]).arg(disk).arg(&self.binary);
        command
    }

    /// The command that starts this host, for tests that want it not to start.
    pub fn command(&self) -> Command {
        let mut command = self.program();
        command
            .current_dir(self.root.path())
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HHRF_LISTEN", "127.0.0.1:0")
            .env("HHRF_ADMIN", "127.0.0.1:0")
            // No load balancer has to notice that a test ends.
            .env("HHRF_DRAIN_DELAY_MS", "0")
            .env("HHRF_LOG_FORMAT", "json")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the host and waits until it listens.
    #[track_caller]
    pub fn start(self) -> Running {
        let command = self.command();
        self.start_as(command)
    }

    /// The same, by this command, which came from [`command`](Self::command) and was changed.
    #[track_caller]
    pub fn start_as(self, command: Command) -> Running {
        Running::start(self, command)
    }
}
