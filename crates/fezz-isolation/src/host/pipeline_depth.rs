//! How many calls are in a worker's socket at once: as many as it gets done in a moment.

/// What is sent ahead is done within this time, mostly.
const TARGET_NS: u64 = 200_000;
/// No more calls than these, however quick they are.
const MAX_DEPTH: usize = 16;

/// Follows how long max_depth calls take, so that the few which were interrupted do not count.
#[derive(Debug)]
pub(super) struct PipelineDepth {
    typical_ns: u64,
    max_depth: usize,
}

impl PipelineDepth {
    /// Of a worker that has not been called. At max_depth `room` calls have a place to be told about.
    pub(super) fn new(room: usize) -> Self {
        Self { typical_ns: TARGET_NS, max_depth: MAX_DEPTH.min(room) }
    }

    /// A call took this long.
    pub(super) const fn record(&mut self, took_ns: u64) {
        let step = self.typical_ns / 4;
        if took_ns > self.typical_ns {
            self.typical_ns += step + 1;
        } else {
            self.typical_ns -= step;
        }
    }

    /// A call held up those behind it: nothing is sent ahead for a while.
    pub(super) const fn reset(&mut self) {
        self.typical_ns = TARGET_NS;
    }

    /// How many calls may be in the socket, the one that the worker is at among them.
    pub(super) fn current(&self) -> usize {
        usize::try_from(TARGET_NS / self.typical_ns.max(1)).unwrap_or(MAX_DEPTH).clamp(1, self.max_depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_calls_are_sent_ahead_and_slow_ones_are_not() {
        let mut depth = PipelineDepth::new(1024);
        assert_eq!(depth.current(), 1);
        (0..40).for_each(|_| depth.record(3_000));
        assert_eq!(depth.current(), MAX_DEPTH);
        (0..40).for_each(|call| depth.record(if call % 8 == 0 { 3_000_000 } else { 3_000 }));
        assert_eq!(depth.current(), MAX_DEPTH, "one in eight was interrupted");
        (0..40).for_each(|_| depth.record(1_000_000));
        assert_eq!(depth.current(), 1);
        (0..40).for_each(|_| depth.record(50_000));
        assert!((3..=5).contains(&depth.current()), "{}", depth.current());
        depth.reset();
        assert_eq!(depth.current(), 1);
        assert_eq!(PipelineDepth::new(1).current(), 1);
    }
}
