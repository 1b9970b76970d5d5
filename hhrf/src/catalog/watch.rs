//! The watcher of the functions folder: a folder that has changed is deployed when it has settled.
//!
//! Events only name the folder to scan; its contents decide. Periodic rescans find changes without an event: after an
//! overflow of the kernel's queue, or behind a link.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::registry::Registry;

/// A folder that changes continually is deployed after this many settle times.
const MAX_SETTLES: u32 = 20;
/// A folder that is gone is undeployed after this many settle times: `rm -r` and `cp -r` replace one.
const GONE_SETTLES: u32 = 5;

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
    /// Watches until it is dropped.
    _watcher: Option<RecommendedWatcher>,
}

impl Watcher {
    /// Begins to note changes, before the first scan, so that none falls between the two.
    pub(crate) fn start(registry: Arc<Registry>, timing: Timing) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let watcher = timing.watch.then(|| start(registry.folder(), sender)).flatten();
        Self { registry, timing, events, _watcher: watcher }
    }

    /// Deploys what changes, until the host ends. Deployments run concurrently: one that hangs in its probe holds up no
    /// other.
    pub(crate) async fn run(mut self) {
        let Timing { settle, rescan: interval, .. } = self.timing;
        let folder = self.registry.folder().to_owned();
        let is_gone = |name: &str| !folder.join(name).exists();
        let mut pending = Pending::default();
        let mut updates = JoinSet::new();
        let mut rescanning: Option<AbortHandle> = None;
        let mut rescan = Instant::now() + interval;
        loop {
            let due = pending.due(settle, is_gone).unwrap_or(rescan).min(rescan);
            tokio::select! {
                Some(event) = self.events.recv() => {
                    if pending.note(event, &folder) {
                        rescan = Instant::now();
                    }
                }
                Some(_) = updates.join_next() => {}
                () = sleep_until(due) => {
                    let now = Instant::now();
                    let settled = pending.take(now, settle, is_gone);
                    if !settled.is_empty() {
                        let registry = Arc::clone(&self.registry);
                        updates.spawn(async move { registry.update(settled).await });
                    }
                    if now >= rescan && rescanning.as_ref().is_some_and(|task| !task.is_finished()) {
                        rescan = now + settle;
                    } else if now >= rescan {
                        rescanning = Some(updates.spawn(full(Arc::clone(&self.registry))));
                        rescan = now + interval;
                    }
                }
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

type Events = mpsc::UnboundedSender<notify::Result<Event>>;

fn start(folder: &Path, events: Events) -> Option<RecommendedWatcher> {
    let started = notify::recommended_watcher(move |event| _ = events.send(event)).and_then(|mut watcher| {
        watcher.watch(folder, RecursiveMode::Recursive)?;
        Ok(watcher)
    });
    started
        .inspect_err(|error| {
            tracing::error!("cannot watch {}, rescans alone find changes: {error}", folder.display())
        })
        .ok()
}

/// Folders in which something happened.
#[derive(Debug, Default)]
struct Pending(HashMap<String, Since>);

#[derive(Clone, Copy, Debug)]
struct Since {
    first: Instant,
    last: Instant,
}

impl Since {
    /// When the folder is due for a scan.
    fn due(self, settle: Duration, is_gone: bool) -> Instant {
        if is_gone {
            return self.last + settle * GONE_SETTLES;
        }
        (self.last + settle).min(self.first + settle * MAX_SETTLES)
    }
}

impl Pending {
    /// Notes the folders of an event; answers with whether it calls for a full rescan.
    fn note(&mut self, event: notify::Result<Event>, folder: &Path) -> bool {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                tracing::warn!("the watcher has lost its way, everything is looked at: {error}");
                return true;
            }
        };
        let overflow = event.need_rescan();
        if overflow {
            tracing::warn!("the watcher's queue ran over, everything is looked at");
        }
        let now = Instant::now();
        for name in
            event.paths.iter().filter(|_| is_change(&event)).filter_map(|path| folder_name(path, folder))
        {
            let changes = self.0.entry(name).or_insert(Since { first: now, last: now });
            changes.last = now;
        }
        overflow
    }

    /// When the first of them is due.
    fn due(&self, settle: Duration, is_gone: impl Fn(&str) -> bool) -> Option<Instant> {
        self.0.iter().map(|(name, since)| since.due(settle, is_gone(name))).min()
    }

    /// The folders that have settled.
    fn take(&mut self, now: Instant, settle: Duration, is_gone: impl Fn(&str) -> bool) -> Vec<String> {
        let settled = self.0.extract_if(|name, since| now >= since.due(settle, is_gone(name)));
        settled.map(|(name, _)| name).collect()
    }
}

/// Reading a file is no change, and the host itself reads them all; the end of writing one is.
fn is_change(event: &Event) -> bool {
    !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

/// The part of a path right below the functions folder: a function's folder, or `aliases.json`.
fn folder_name(path: &Path, folder: &Path) -> Option<String> {
    let below: PathBuf = path.strip_prefix(folder).ok()?.components().take(1).collect();
    Some(below.to_str()?.to_owned()).filter(|name| !name.is_empty() && !name.starts_with('.'))
}
