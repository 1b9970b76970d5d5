//! The thread that starts workers. A worker dies with the *thread* that started it, so that this one lives for as long
//! as the process does; and starting blocks for a moment, which no other thread should.

use std::io;
use std::process::{Child, Command};
use std::sync::mpsc;
use std::thread;

use fezz_runtime::sys::spawn_without_huge_pages;
use tokio::sync::oneshot;

type SpawnRequest = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts processes, one after another.
#[derive(Clone, Debug)]
pub struct Spawner(mpsc::Sender<SpawnRequest>);

impl Spawner {
    pub fn start() -> Self {
        let (sender, requests) = mpsc::channel::<SpawnRequest>();
        let spawner = thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            // Ends when there is no spawner left that could be asked.
            for (mut command, answer) in requests {
                if let Err(Ok(mut child)) = answer.send(spawn_without_huge_pages(&mut command)) {
                    // Nobody waits for it any more.
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
