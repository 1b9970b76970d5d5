//! The watcher of the functions folder: a folder that has changed is deployed when it has settled.
//!
//! Events only name the folder to scan; its contents decide. Periodic rescans find changes without an event, such as
//! after an overflow of the kernel's queue. The functions folder itself is looked up again all the time, since a link to it
//! may lead elsewhere.

mod pending;
mod watches;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use notify::Event;
use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::folder_file;
use super::registry::Registry;
use pending::{Concerned, Pending};
use watches::Watches;

/// Poll interval for what the functions folder is.
const ROOT_POLL_INTERVAL: Duration = Duration::from_millis(250);

/// How changes are found.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// How long a folder must be unchanged before it is deployed.
    pub(crate) settle: Duration,
    /// Interval of full rescans.
    pub(crate) rescan: Duration,
    /// Whether to watch for changes, beside the rescans.
    pub(crate) watch: bool,
}

/// Follows the functions folder.
pub(crate) struct Watcher {
    registry: Arc<Registry>,
    timing: Timing,
    events: mpsc::UnboundedReceiver<notify::Result<Event>>,
    sender: mpsc::UnboundedSender<notify::Result<Event>>,
    secrets_file: Option<PathBuf>,
    watches: Option<Watches>,
    pending: Pending,
    updates: JoinSet<()>,
    rescanning: Option<AbortHandle>,
    rescan_at: Instant,
    /// Whether the functions folder is watched, and that it is not has been said.
    root_lost: bool,
}

impl Watcher {
    /// Begins to note changes, before the first scan, so that none falls between the two.
    pub(crate) fn start(registry: Arc<Registry>, timing: Timing, secrets_file: Option<&PathBuf>) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let rescan_at = Instant::now() + timing.rescan;
        let mut watcher = Self {
            registry,
            timing,
            events,
            sender,
            secrets_file: secrets_file.cloned(),
            watches: None,
            pending: Pending::default(),
            updates: JoinSet::new(),
            rescanning: None,
            rescan_at,
            root_lost: false,
        };
        watcher.begin();
        // Everything is about to be scanned anyway.
        watcher.rescan_at = rescan_at;
        watcher
    }

    /// Begins to watch, if that is wanted and has not been possible yet.
    fn begin(&mut self) {
        if self.timing.watch && self.watches.is_none() {
            let folder = self.registry.folder();
            match Watches::new(folder, self.secrets_file.as_ref(), self.sender.clone()) {
                Ok(watches) => self.watches = Some(watches),
                Err(error) => cannot_watch(&folder.display(), &error),
            }
            self.follow_root();
        }
    }

    /// Watches what the first scan has found, and notes where that cannot be: the registry knows all folders now.
    pub(crate) fn scanned(&mut self) {
        self.follow_all();
    }

    /// Deploys what changes, until the host ends. Deployments run concurrently: one that hangs in its probe holds up no
    /// other.
    pub(crate) async fn run(mut self) {
        let mut poll = interval(ROOT_POLL_INTERVAL);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let (again, next) = self.registry.take_due(Instant::now());
            if !again.is_empty() {
                let registry = Arc::clone(&self.registry);
                self.updates.spawn(async move { registry.look_again(again).await });
            }
            let due = [self.pending.due(self.timing.settle), next].into_iter().flatten();
            let due = due.fold(self.rescan_at, Instant::min);
            tokio::select! {
                Some(event) = self.events.recv() => self.note(event),
                // What it has found may have to be looked at again.
                Some(_) = self.updates.join_next() => {}
                _ = poll.tick(), if self.watches.is_some() => self.follow_root(),
                () = sleep_until(due) => self.scan(Instant::now()),
            }
        }
    }

    /// Scans what has settled, and everything when it is time.
    fn scan(&mut self, now: Instant) {
        let mut names = Vec::new();
        for what in self.pending.take(now, self.timing.settle) {
            self.follow(&what);
            match what {
                Concerned::Name(name) => names.push(name),
                Concerned::All => self.rescan_at = now,
            }
        }
        if !names.is_empty() {
            let registry = Arc::clone(&self.registry);
            self.updates.spawn(async move { registry.update(names).await });
        }
        if now < self.rescan_at {
            return;
        }
        if self.rescanning.as_ref().is_some_and(|task| !task.is_finished()) {
            self.rescan_at = now + self.timing.settle;
            return;
        }
        self.begin();
        self.follow_all();
        self.rescanning = Some(self.updates.spawn(full(Arc::clone(&self.registry))));
        self.rescan_at = now + self.timing.rescan;
    }

    /// Notes whom an event concerns.
    fn note(&mut self, event: notify::Result<Event>) {
        let now = Instant::now();
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!("the watcher has lost its way, everything is looked at: {error}");
                self.rescan_at = now;
                return;
            }
        };
        if event.need_rescan() {
            tracing::warn!("the watcher's queue ran over, everything is looked at");
            self.rescan_at = now;
        }
        let concerned =
            self.watches.as_ref().filter(|_| is_change(&event)).map(|watches| watches.concerned(&event));
        for what in concerned.into_iter().flatten() {
            // A new folder is watched from its first event on, so that its files are noticed too.
            if self.pending.note(what.clone(), now) {
                self.follow(&what);
            } else {
                self.follow_new(&what, &event);
            }
        }
    }

    /// Watches what the functions folder is now. Where that has changed, everything has.
    fn follow_root(&mut self) {
        let Some(watches) = &mut self.watches else { return };
        match watches.follow_root() {
            Ok(false) if !self.root_lost => {}
            Ok(_) => {
                self.root_lost = false;
                self.follow_all();
                self.rescan_at = Instant::now();
            }
            Err(error) => {
                if !self.root_lost {
                    cannot_watch(&self.registry.folder().display(), &error);
                }
                self.root_lost = true;
            }
        }
    }

    fn follow_all(&mut self) {
        let names = self.registry.deployments().into_iter().map(|(name, _)| name);
        let names = names.chain(self.registry.names().unwrap_or_default());
        let all = names.chain(folder_file::FILES.map(str::to_owned)).map(Concerned::Name);
        for what in all.chain([Concerned::All]) {
            self.follow(&what);
        }
    }

    /// Watches what this is made of now, and notes where that cannot be.
    fn follow(&mut self, what: &Concerned) {
        let Some(watches) = &mut self.watches else { return };
        let error = watches.follow(what).err();
        if let Concerned::Name(name) = what {
            self.registry.set_unwatched(name, error.map(|error| error.to_string()));
        }
    }

    /// Watches folders that have come to be with this event. What cannot be watched is noted when the function is scanned.
    fn follow_new(&mut self, what: &Concerned, event: &Event) {
        let Some(watches) = &mut self.watches else { return };
        if matches!(event.kind, EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(_))) {
            for folder in event.paths.iter().filter(|path| path.is_dir()) {
                let _ = watches.follow_new(what, folder);
            }
        }
    }
}

async fn full(registry: Arc<Registry>) {
    if let Err(error) = registry.rescan().await {
        let folder = registry.folder().display();
        tracing::error!("the functions folder {folder} cannot be read, everything serves on: {error}");
    }
}

fn cannot_watch(folder: &dyn std::fmt::Display, error: &notify::Error) {
    tracing::error!("cannot watch {folder}, rescans alone find changes: {error}");
}

/// Reading a file is no change, and the host itself reads them all; the end of writing one is.
fn is_change(event: &Event) -> bool {
    !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}
