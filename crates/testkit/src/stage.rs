//! A function that serves while something happens to its folder, and what the admin listener says of it.

use std::thread;
use std::time::{Duration, Instant};

use crate::{Folder, Host, Load, Numbered, Running, digest};

/// Deploying a thousand folders on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(120);

/// `f@1.0.0`, build 1, on a host that runs.
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
    /// With a host as it comes, and builds in C.
    #[track_caller]
    pub fn start() -> Self {
        Self::start_with(|host| host)
    }

    /// The same, on a host that is prepared in some way.
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

    /// A constant load on `f`, whose answers must come from the build that was acknowledged last, or from a later one.
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

    /// Waits until a folder has an error that holds this text.
    #[track_caller]
    pub fn until_error(&self, name: &str, text: &str) {
        let error = |stage: &Self| stage.host.status(name)["last_error"]["message"].to_string();
        self.until(|stage| error(stage).contains(text), &format!("the error `{text}` of {name}"));
    }

    /// Waits until the folder as it is now serves.
    #[track_caller]
    pub fn until_state(&self, name: &str, state: &str) {
        self.until(|stage| stage.host.status(name)["state"] == state, &format!("{name} is {state}"));
    }

    /// Waits until this holds.
    #[track_caller]
    pub fn until(&self, holds: impl Fn(&Self) -> bool, what: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(
                Instant::now() < deadline,
                "waited in vain for {what}: {}; log: {:#?}",
                self.host.admin("/functions").text(),
                self.host.log()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// The one answer of `f` right now.
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
        None => Err(format!("a mixture answered: {}", String::from_utf8_lossy(answer))),
    }
}
