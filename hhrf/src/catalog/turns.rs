//! One at a time for each folder: what is found out later must not be overtaken by what was found out before.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// Hands out turns.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    name: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    /// Waits for those who asked before.
    pub(super) async fn take(self: &Arc<Self>, name: &str) -> Turn {
        let turn = Arc::clone(self.lock().entry(name.to_owned()).or_default());
        Turn { turns: Arc::clone(self), name: name.to_owned(), guard: Some(turn.lock_owned().await) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut turns = self.turns.lock();
        self.guard = None;
        // Who waits has a count too; it was taken under this very lock.
        if turns.get(&self.name).is_some_and(|turn| Arc::strong_count(turn) == 1) {
            turns.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_name_waits_for_its_own_turn_only_and_leaves_nothing() {
        let turns = Arc::<Turns>::default();
        let first = turns.take("a").await;
        let other = turns.take("b").await;
        assert!(timeout(Duration::from_secs(1), turns.take("a")).await.is_err());
        drop(first);
        let second = timeout(Duration::from_secs(1), turns.take("a")).await.expect("its turn");
        drop((second, other));
        assert!(turns.lock().is_empty());
    }
}
