//! [`Budget`]: memory that many share, such as all answers that are not sent yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

/// A number of bytes that reservations share.
#[derive(Debug)]
pub struct Budget {
    limit: u64,
    used: AtomicU64,
}

/// A part of a budget, given back when it is dropped.
#[derive(Debug)]
pub struct Reservation {
    budget: Arc<Budget>,
    bytes: u64,
}

impl Budget {
    /// A budget of so many bytes.
    #[must_use]
    pub fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, used: AtomicU64::new(0) })
    }

    /// Reserves bytes, if there are so many left. Whoever is alone may have more than there are: what is larger than the
    /// whole budget would never be served otherwise.
    #[must_use]
    pub fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut reserved = Reservation { budget: Arc::clone(self), bytes: 0 };
        reserved.grow(bytes).then_some(reserved)
    }

    /// Bytes that are reserved now.
    pub fn used(&self) -> u64 {
        self.used.load(Ordering::Relaxed)
    }
}

impl Reservation {
    /// Adds bytes to it. Answers with whether there were so many left.
    #[must_use]
    pub fn grow(&mut self, bytes: u64) -> bool {
        let Budget { limit, used } = &*self.budget;
        let own = self.bytes;
        let more = |used: u64| Some(used.saturating_add(bytes)).filter(|sum| *sum <= *limit || used == own);
        let granted = used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if granted {
            self.bytes += bytes;
        }
        granted
    }

    /// The same bytes, which hold this reservation for as long as anybody holds them.
    #[must_use]
    pub fn attach(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Reserved { bytes, _reservation: self })
    }
}

/// Bytes and their part of a budget.
struct Reserved {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Reserved {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.budget.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_share_the_limit_and_give_back() {
        let budget = Budget::new(100);
        let mut first = budget.reserve(60).expect("room");
        let other = budget.reserve(1).expect("room");
        assert!(budget.reserve(50).is_none() && !first.grow(50));
        drop(other);
        assert_eq!(budget.used(), 60);
        let second = budget.reserve(40).expect("room");
        assert!(!first.grow(1));
        drop(second);
        assert!(first.grow(1_000), "it is alone");
        assert!(budget.reserve(1).is_none());
        drop(first);
        assert_eq!(budget.used(), 0);
        assert!(budget.reserve(1_000).is_some(), "it is alone");
    }
}
