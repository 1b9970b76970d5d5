//! Watches the functions folder: what changes is deployed once it has settled.
//!
//! Events only say where to look; what is there decides. A full rescan now and then finds what no event told of: an
//! overflow of the kernel's queue, a change behind a link.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{RecommendedWatcher, RecursiveMode};
use notify_debouncer_full::{DebounceEventResult, DebouncedEvent, Debouncer, NoCache, new_debouncer_opt};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::registry::Registry;

/// The debouncer only brings events together; settling is decided here, for a folder as a whole. It wakes up this often,
/// also where nothing happens.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// A folder in which something happens all the time is looked at all the same.
const PATIENCE: u32 = 20;
/// A folder that is gone may be on its way back: `rm -r` and `cp -r` replace one.
const GONE: u32 = 5;

/// How changes are found.
#[derive(Clone, Debug)]
pub(crate) struct Timing {
    /// How long nothing must happen in a folder before it is deployed.
    pub(crate) settle: Duration,
    /// How often everything is looked at.
    pub(crate) rescan: Duration,
    /// Whether there is a watcher at all, or rescans alone.
    pub(crate) watch: bool,
}

/// Follows the functions folder.
pub(crate) struct Watcher {
    registry: Arc<Registry>,
    timing: Timing,
    events: mpsc::UnboundedReceiver<DebounceEventResult>,
    /// Held, so that it goes on.
    _debouncer: Option<Debouncer<RecommendedWatcher, NoCache>>,
}

impl Watcher {
    /// Begins to note changes, before the first scan, so that none falls between the two.
    pub(crate) fn start(registry: Arc<Registry>, timing: Timing) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        let debouncer = timing.watch.then(|| start(registry.deployer().folder(), sender)).flatten();
        Self { registry, timing, events, _debouncer: debouncer }
    }

    /// Deploys what changes, until the host ends. Deployments run beside each other: one that hangs in its probe holds up
    /// no other.
    pub(crate) async fn run(mut self) {
        let Timing { settle, rescan: interval, .. } = self.timing;
        let folder = self.registry.deployer().folder().to_owned();
        let is_gone = |name: &str| !folder.join(name).exists();
        let mut pending = Pending::default();
        let mut updates = JoinSet::new();
        let mut rescanning: Option<AbortHandle> = None;
        let mut rescan = Instant::now() + interval;
        loop {
            let due = pending.due(settle, is_gone).unwrap_or(rescan).min(rescan);
            tokio::select! {
                Some(batch) = self.events.recv() => {
                    if pending.note(batch, &folder) {
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
        let folder = registry.deployer().folder().display();
        tracing::error!("the functions folder {folder} cannot be read, everything serves on: {error}");
    }
}

type Events = mpsc::UnboundedSender<DebounceEventResult>;

fn start(folder: &Path, events: Events) -> Option<Debouncer<RecommendedWatcher, NoCache>> {
    let handler = move |result| drop(events.send(result));
    let started = new_debouncer_opt(DEBOUNCE, Some(DEBOUNCE), handler, NoCache, notify::Config::default())
        .and_then(|mut debouncer| {
            debouncer.watch(folder, RecursiveMode::Recursive)?;
            Ok(debouncer)
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
    /// When to look at the folder.
    fn due(self, settle: Duration, is_gone: bool) -> Instant {
        if is_gone {
            return self.last + settle * GONE;
        }
        (self.last + settle).min(self.first + settle * PATIENCE)
    }
}

impl Pending {
    /// Takes events in; whether they call for a full rescan.
    fn note(&mut self, result: DebounceEventResult, folder: &Path) -> bool {
        let events = match result {
            Ok(events) => events,
            Err(errors) => {
                tracing::warn!("the watcher has lost its way, everything is looked at: {errors:?}");
                return true;
            }
        };
        let overflow = events.iter().any(|event| event.need_rescan());
        if overflow {
            tracing::warn!("the watcher's queue ran over, everything is looked at");
        }
        let now = Instant::now();
        for path in events.iter().filter(|event| is_change(event)).flat_map(|event| &event.paths) {
            if let Some(name) = folder_name(path, folder) {
                self.0
                    .entry(name)
                    .and_modify(|since| since.last = now)
                    .or_insert(Since { first: now, last: now });
            }
        }
        overflow
    }

    /// When the first of them is to be looked at.
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
fn is_change(event: &DebouncedEvent) -> bool {
    !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

/// The part of a path right below the functions folder: a function's folder, or `aliases.json`.
fn folder_name(path: &Path, folder: &Path) -> Option<String> {
    let below: PathBuf = path.strip_prefix(folder).ok()?.components().take(1).collect();
    Some(below.to_str()?.to_owned()).filter(|name| !name.is_empty() && !name.starts_with('.'))
}
