//! [`Stage`]: a running host with one function, for tests that redeploy it.

use std::time::Duration;

use crate::wait::until_within;
use crate::{Folder, Host, Load, Numbered, Running, digest};

/// Deploying a thousand folders on a busy machine takes long.
const DEPLOY_TIMEOUT: Duration = Duration::from_secs(120);

/// `f@1.0.0`, build 1, on a running host.
#[derive(Debug)]
pub struct Stage {
    /// The host.
    pub host: Running,
    /// All builds of the function.
    pub builds: Numbered,
    /// The function's folder.
    pub f: Folder,
}

impl Stage {
    /// With the default host, and builds in C.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(|host| host)
    }

    /// The same, with changes to the host.
    #[track_caller]
    pub fn start_with(prepare: impl FnOnce(Host) -> Host) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        Self::start_with_builds(Numbered::new(folder.path()), prepare)
    }

    /// The same, with builds of another library.
    #[track_caller]
    pub fn start_with_builds(builds: Numbered, prepare: impl FnOnce(Host) -> Host) -> Self {
        let host = Host::new();
        let f = Folder::new(&host.functions(), "f@1.0.0");
        f.create(&builds.build(1));
        Self { host: prepare(host).start(), builds, f }
    }

    /// Another folder of the same host.
    pub fn folder(&self, name: &str) -> Folder {
        Folder::new(&self.host.host().functions(), name)
    }

    /// A constant load on `f`. Responses must come from the build that was acknowledged last, or from a later one.
    pub fn load(&self, clients: usize) -> Load {
        let load = Load::start(self.host.address(), "/rpc/f@1.0.0", clients, not_older);
        load.raise_floor(1);
        load.wait_for_answers(clients as u64);
        load
    }

    /// Waits until the host acknowledges this build of `f`.
    #[track_caller]
    pub fn until_serving(&self, build: u64) {
        let digest = digest(&self.builds.build(build));
        self.until(|stage| stage.host.status("f@1.0.0")["digest"] == digest, &format!("build {build}"));
    }

    /// Waits until a folder has an error that contains this text.
    #[track_caller]
    pub fn until_error(&self, name: &str, text: &str) {
        let error = |stage: &Self| stage.host.status(name)["last_error"]["message"].to_string();
        self.until(|stage| error(stage).contains(text), &format!("the error `{text}` of {name}"));
    }

    /// Waits until a folder is in this state.
    #[track_caller]
    pub fn until_state(&self, name: &str, state: &str) {
        self.until(|stage| stage.host.status(name)["state"] == state, &format!("{name} is {state}"));
    }

    /// Waits until a condition is true.
    #[track_caller]
    pub fn until(&self, holds: impl Fn(&Self) -> bool, what: &str) {
        let details = || {
            let functions = self.host.admin("/functions");
            format!("{what}: {}; log: {:#?}", functions.text(), self.host.log())
        };
        until_within(DEPLOY_TIMEOUT, || holds(self), |holds| *holds, details);
    }

    /// Fails unless `f` responds with this build.
    #[track_caller]
    pub fn assert_build(&self, build: u64) {
        let answer = self.host.get("/rpc/f@1.0.0");
        assert_eq!(Numbered::number(&answer.assert_status(200).body), Some(build), "{answer:?}");
    }
}

fn not_older(floor: u64, answer: &[u8]) -> Result<(), String> {
    match Numbered::number(answer) {
        Some(build) if build >= floor => Ok(()),
        Some(build) => Err(format!("build {build} answered after {floor} had been acknowledged")),
        None => Err(format!("a mix of builds answered: {}", String::from_utf8_lossy(answer))),
    }
}
