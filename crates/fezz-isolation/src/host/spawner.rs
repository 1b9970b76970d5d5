//! The thread that spawns worker processes.
//!
//! The parent-death signal is sent when the *thread* that spawned the worker ends, so one thread that lives until the
//! host's end spawns all of them. Spawning also blocks, which a thread of the runtime must not.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;

use fezz_runtime::sys::spawn_without_huge_pages;
use tokio::sync::oneshot;

type SpawnRequest = (Command, oneshot::Sender<io::Result<Child>>);

/// A handle to the spawner thread.
#[derive(Clone, Debug)]
pub struct Spawner(mpsc::Sender<SpawnRequest>);

impl Spawner {
    /// Starts the thread. If that fails, it is logged, and so does every spawn.
    #[must_use]
    pub fn start() -> Self {
        let (sender, requests) = mpsc::channel::<SpawnRequest>();
        let spawner = thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            // Ends when the last handle is dropped.
            for (mut command, answer) in requests {
                if let Err(Ok(mut child)) = answer.send(spawn_without_huge_pages(&mut command)) {
                    // The requester has gone.
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        if let Err(error) = spawner {
            tracing::error!("the thread that starts workers cannot be started: {error}");
        }
        Self(sender)
    }

    pub(super) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (answer, child) = oneshot::channel();
        let gone = |_| io::Error::other("the thread that starts workers is gone");
        self.0.send((command, answer)).map_err(|_| gone(()))?;
        child.await.map_err(|_| gone(()))?
    }
}
