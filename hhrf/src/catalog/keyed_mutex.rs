//! A mutex for each key, asynchronous and fair. The registry locks a folder with it, so that a stale scan never overwrites
//! a newer one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// The mutexes that are locked or waited for, by key.
#[derive(Debug, Default)]
pub(super) struct KeyedMutex(Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>);

/// The lock of one key, until it is dropped.
#[derive(Debug)]
pub(super) struct KeyGuard {
    mutexes: Arc<KeyedMutex>,
    name: String,
    guard: Option<OwnedMutexGuard<()>>,
}

impl KeyedMutex {
    /// Waits for the lock.
    pub(super) async fn acquire(self: &Arc<Self>, name: &str) -> KeyGuard {
        let mutex = Arc::clone(self.lock().entry(name.to_owned()).or_default());
        KeyGuard { mutexes: Arc::clone(self), name: name.to_owned(), guard: Some(mutex.lock_owned().await) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<tokio::sync::Mutex<()>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for KeyGuard {
    fn drop(&mut self) {
        let mut mutexes = self.mutexes.lock();
        self.guard = None;
        // Waiters hold a count too, taken under this very lock.
        if mutexes.get(&self.name).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            mutexes.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_key_waits_for_its_own_lock_only_and_leaves_nothing() {
        let mutexes = Arc::<KeyedMutex>::default();
        let first = mutexes.acquire("a").await;
        let other = mutexes.acquire("b").await;
        assert!(timeout(Duration::from_secs(1), mutexes.acquire("a")).await.is_err());
        drop(first);
        let second = timeout(Duration::from_secs(1), mutexes.acquire("a")).await.expect("its lock");
        drop((second, other));
        assert!(mutexes.lock().is_empty());
    }
}
