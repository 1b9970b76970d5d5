//! Summaries of events that clients can cause with each request.
//!
//! Such an event has a field `kind`. The first ones of a function and kind are logged as they happen; further ones are
//! counted, and a line tells the count every ten seconds. So no client can flood the log, or make the host pay for it.

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_subscriber::layer::{Context, Filter};

/// How long events are counted before their sum is told.
const PERIOD: Duration = Duration::from_secs(10);
/// How many events of one function and kind are logged as they happen: of those that say how loaded the host is, and of
/// faults, each of which has its own cause.
const WARNINGS_AT_ONCE: u64 = 1;
const ERRORS_AT_ONCE: u64 = 20;

/// The counts of all functions and kinds. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Summaries(Arc<Mutex<HashMap<String, Count>>>);

/// Events of one function and kind.
#[derive(Debug)]
struct Count {
    function: String,
    kind: String,
    due: Instant,
    /// How many more are logged as they happen.
    at_once: u64,
    more: u64,
}

impl Summaries {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Count>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to log an event as it happens; it is counted otherwise.
    fn admit(&self, key: &Key, at_once: u64, now: Instant) -> bool {
        let mut counts = self.lock();
        if let Some(count) = counts.get_mut(&key.text) {
            let log = count.at_once > 0;
            count.at_once = count.at_once.saturating_sub(1);
            count.more += u64::from(!log);
            return log;
        }
        let (function, kind) = key.text.split_at(key.function);
        let count = Count {
            function: function.to_owned(),
            kind: kind.to_owned(),
            due: now + PERIOD,
            at_once: at_once - 1,
            more: 0,
        };
        counts.insert(key.text.clone(), count);
        true
    }

    /// When the next sum is to be told.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.lock().values().map(|count| count.due).min()
    }

    /// Tells the sums that are due. A kind that did not occur again is forgotten.
    pub(super) fn report(&self, now: Instant) {
        for (function, kind, count) in self.take_due(now) {
            let seconds = PERIOD.as_secs();
            tracing::warn!(function, count, "{count} more in the last {seconds} s: {kind}");
        }
    }

    fn take_due(&self, now: Instant) -> Vec<(String, String, u64)> {
        let mut sums = Vec::new();
        self.lock().retain(|_, count| {
            if count.due > now {
                return true;
            }
            count.due = now + PERIOD;
            let more = std::mem::take(&mut count.more);
            if more > 0 {
                sums.push((count.function.clone(), count.kind.clone(), more));
            }
            more > 0
        });
        sums
    }
}

impl<S> Filter<S> for Summaries {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &Event<'_>, _: &Context<'_, S>) -> bool {
        let metadata = event.metadata();
        if metadata.fields().field("kind").is_none() || *metadata.level() > Level::WARN {
            return true;
        }
        let mut key = Key::default();
        event.record(&mut key);
        let at_once = if *metadata.level() == Level::ERROR { ERRORS_AT_ONCE } else { WARNINGS_AT_ONCE };
        self.admit(&key, at_once, Instant::now())
    }
}

/// An event's function and kind, one behind the other.
#[derive(Default)]
struct Key {
    text: String,
    /// Length of the function's name.
    function: usize,
}

impl Visit for Key {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "function" => {
                self.text.insert_str(0, value);
                self.function = value.len();
            }
            "kind" => self.text.push_str(value),
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(function: &str, kind: &str) -> Key {
        Key { text: format!("{function}{kind}"), function: function.len() }
    }

    #[test]
    fn the_first_is_logged_and_the_others_are_counted_for_each_function_and_kind() {
        let (summaries, now) = (Summaries::default(), Instant::now());
        let admit = |function, kind| summaries.admit(&key(function, kind), 1, now);
        assert!(admit("f@1.0.0", "full") && admit("g@1.0.0", "full") && admit("f@1.0.0", "late"));
        assert!((0..5).all(|_| !admit("f@1.0.0", "full")));
        assert_eq!(summaries.take_due(now), []);
        let later = now + PERIOD;
        let sum = |count| vec![("f@1.0.0".to_owned(), "full".to_owned(), count)];
        assert_eq!(summaries.take_due(later), sum(5));
        assert!(!admit("f@1.0.0", "full"), "it goes on");
        assert!(admit("g@1.0.0", "full"), "it had ended");
        assert_eq!(summaries.take_due(later + PERIOD), sum(1));
        assert_eq!(summaries.take_due(later + 2 * PERIOD), []);
        assert_eq!(summaries.next_due(), None);
    }

    #[test]
    fn several_are_logged_where_each_has_its_own_cause() {
        let (summaries, now) = (Summaries::default(), Instant::now());
        let logged = (0..100).filter(|_| summaries.admit(&key("f@1.0.0", "panic"), 20, now)).count();
        assert_eq!(logged, 20);
        assert_eq!(summaries.take_due(now + PERIOD)[0].2, 80);
    }
}
