//! [`TestHost`]: the real host, serving the crate's own library.

use std::net::SocketAddr;
use std::path::PathBuf;

use fezz_testkit::{Host, LogLine, Response, Running};
use serde_json::Value;

/// The real host on a free port, serving the library and the `fezz.json` of the crate under test.
///
/// The host is the program named by the variable `HHRF`; else it is built, if this crate is in a checkout of fezz; else
/// it is the `hhrf` in the `PATH`. The library is built with cargo, with the profile of the test.
///
/// ```no_run
/// use fezz_sdk::testing::TestHost;
///
/// let host = TestHost::new().variable("WORD", "good day").start();
/// host.get("/greet/you").assert_status(200).assert_text("good day you");
/// ```
#[derive(Debug)]
pub struct TestHost {
    host: Host,
    library: PathBuf,
    manifest: Value,
    assets: Vec<String>,
}

impl TestHost {
    /// Builds the crate's library and finds the host.
    ///
    /// # Panics
    /// If the build fails, the host is not found, or the crate has no `fezz.json`.
    #[must_use]
    #[track_caller]
    #[expect(clippy::new_without_default, reason = "it builds a library and makes a folder")]
    pub fn new() -> Self {
        let (library, manifest) = fezz_testkit::own_function();
        Self { host: Host::new(), library, manifest, assets: Vec::new() }
    }

    /// Sets a variable of the function.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.manifest["env"][name] = value.into();
        self
    }

    /// Sets any key of `fezz.json`, such as a limit.
    #[must_use]
    pub fn manifest(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.manifest[key] = value.into();
        self
    }

    /// Sets an environment variable of the host, such as `HHRF_LOG` or a secret.
    #[must_use]
    pub fn host_env(mut self, name: &str, value: &str) -> Self {
        self.host = self.host.env(name, value);
        self
    }

    /// Deploys a file or a folder of the crate, with all that is in it, beside the library.
    ///
    /// # Panics
    /// If it cannot be copied.
    #[must_use]
    #[track_caller]
    pub fn assets(mut self, path: &str) -> Self {
        self.assets.push(path.to_owned());
        self
    }

    /// Starts the host and waits until it serves the function.
    ///
    /// # Panics
    /// If the host does not start or refuses the function.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> RunningTestHost {
        let Self { host, library, manifest, assets } = self;
        let (id, version) = (text(&manifest, "id"), text(&manifest, "version"));
        let name = format!("{id}@{version}");
        for path in assets {
            fezz_testkit::copy_own(&path, &host.folder(&name));
        }
        let running = host.deploy(&name, &library, manifest).start();
        assert!(
            running.log().iter().any(|line| line.message() == "serving" && line.field("function") == name),
            "the host does not serve {name}: {:#?}",
            running.log()
        );
        RunningTestHost { running, prefix: format!("/rpc/{name}") }
    }
}

#[track_caller]
fn text(manifest: &Value, key: &str) -> String {
    let Some(text) = manifest[key].as_str() else { panic!("fezz.json has no `{key}`") };
    text.to_owned()
}

/// A host that serves the function; stopped when it is dropped.
#[derive(Debug)]
pub struct RunningTestHost {
    running: Running,
    prefix: String,
}

impl RunningTestHost {
    /// `GET path`, below the function's own prefix.
    ///
    /// # Panics
    /// If the host does not answer.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.request("GET", path, &[], b"")
    }

    /// Any request.
    ///
    /// # Panics
    /// If the host does not answer.
    #[track_caller]
    pub fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        self.running.request(method, &format!("{}{path}", self.prefix), headers, body)
    }

    /// The host's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// The URL of a path, for another client.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{}{path}", self.address(), self.prefix)
    }

    /// Waits for a line of the host's log.
    ///
    /// # Panics
    /// If it does not appear in time.
    #[track_caller]
    pub fn wait_for_log(&self, matches: impl Fn(&LogLine) -> bool) -> LogLine {
        self.running.wait_for_log(matches)
    }

    /// The host, with its full test interface.
    #[must_use]
    pub const fn running(&self) -> &Running {
        &self.running
    }

    /// Stops the host, and waits until its functions are shut down and it has exited.
    ///
    /// # Panics
    /// If it exits with an error.
    #[track_caller]
    pub fn stop(self) {
        self.running.stop();
    }
}
