//! [`Host`]: the builder for a host with its functions folder. Starting it returns [`Running`].

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
    /// A shell script that runs before the host, in the same process.
    before: Option<String>,
    /// The size of a separate disk for the state folder, if any.
    disk: Option<String>,
}

impl Host {
    /// A host with an empty functions folder.
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "builds a program and makes a folder")]
    pub fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary folder can be made");
        std::fs::create_dir(root.path().join("functions")).expect("the functions folder can be made");
        let binary = crate::host_program();
        Self { root, binary, variables: Vec::new(), arguments: Vec::new(), before: None, disk: None }
    }

    /// Deploys `library` as `id@version`, with these methods and paths as routes.
    #[track_caller]
    pub fn function(self, name: &str, library: &Path, routes: &[(&str, &str)]) -> Self {
        self.function_with(name, library, routes, json!({}))
    }

    /// As [`function`](Self::function), with more keys of `fezz.json`.
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

    /// Deploys `library` as `id@version` with this `fezz.json`, and sets its `entry`.
    #[track_caller]
    pub fn deploy(self, name: &str, library: &Path, mut manifest: Value) -> Self {
        let file = library.file_name().and_then(|file| file.to_str()).expect("a library has a name");
        manifest["entry"] = file.into();
        let folder = self.folder(name);
        std::fs::copy(library, folder.join(file)).expect("the library can be copied");
        std::fs::write(folder.join("fezz.json"), manifest.to_string()).expect("fezz.json can be written");
        self
    }

    /// A folder below the functions folder, created if missing.
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

    /// The temporary folder with all files of this host; removed with it.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Sets an environment variable of the host.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the program, instead of the host of this checkout.
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

    /// Runs a shell script before the host, in the same process, such as `ulimit -n 100`.
    #[must_use]
    pub fn after(mut self, script: &str) -> Self {
        self.before = Some(script.to_owned());
        self
    }

    /// Puts the state folder on a tmpfs of this size (`400k`), in a mount namespace of the host's own. Linux only.
    #[must_use]
    pub fn state_on_a_disk_of(mut self, size: &str) -> Self {
        self.disk = Some(size.to_owned());
        self
    }

    /// Where that disk is mounted, in the host's namespace.
    pub fn disk(&self) -> PathBuf {
        self.root.path().join("disk")
    }

    /// The program to start: the host, or a shell that prepares its environment and then executes the host.
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

    /// The command that starts this host, for tests in which it fails to start.
    pub fn command(&self) -> Command {
        let mut command = self.program();
        command
            .current_dir(self.root.path())
            .args(&self.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HHRF_LISTEN", "127.0.0.1:0")
            .env("HHRF_ADMIN", "127.0.0.1:0")
            // No load balancer needs time to notice the drain.
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

    /// The same, with a modified [`command`](Self::command).
    #[track_caller]
    pub fn start_as(self, command: Command) -> Running {
        Running::start(self, command)
    }
}
