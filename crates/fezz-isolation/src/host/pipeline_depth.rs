//! How many calls are in a worker's socket at once: as many as it gets done in a moment.

/// What is sent ahead is done within this time, mostly.
const MOMENT_NS: u64 = 200_000;
/// No more calls than these, however quick they are.
const MOST: usize = 16;

/// Follows how long most calls take, so that the few which were interrupted do not count.
#[derive(Debug)]
pub(super) struct PipelineDepth {
    usual_ns: u64,
    most: usize,
}

impl PipelineDepth {
    /// Of a worker that has not been called. At most `room` calls have a place to be told about.
    pub(super) fn new(room: usize) -> Self {
        Self { usual_ns: MOMENT_NS, most: MOST.min(room) }
    }

    /// A call took this long.
    pub(super) const fn learn(&mut self, took_ns: u64) {
        let step = self.usual_ns / 4;
        if took_ns > self.usual_ns {
            self.usual_ns += step + 1;
        } else {
            self.usual_ns -= step;
        }
    }

    /// A call held up those behind it: nothing is sent ahead for a while.
    pub(super) const fn stalled(&mut self) {
        self.usual_ns = MOMENT_NS;
    }

    /// How many calls may be in the socket, the one that the worker is at among them.
    pub(super) fn current(&self) -> usize {
        usize::try_from(MOMENT_NS / self.usual_ns.max(1)).unwrap_or(MOST).clamp(1, self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_calls_are_sent_ahead_and_slow_ones_are_not() {
        let mut depth = PipelineDepth::new(1024);
        assert_eq!(depth.current(), 1);
        (0..40).for_each(|_| depth.learn(3_000));
        assert_eq!(depth.current(), MOST);
        (0..40).for_each(|call| depth.learn(if call % 8 == 0 { 3_000_000 } else { 3_000 }));
        assert_eq!(depth.current(), MOST, "one in eight was interrupted");
        (0..40).for_each(|_| depth.learn(1_000_000));
        assert_eq!(depth.current(), 1);
        (0..40).for_each(|_| depth.learn(50_000));
        assert!((3..=5).contains(&depth.current()), "{}", depth.current());
        depth.stalled();
        assert_eq!(depth.current(), 1);
        assert_eq!(PipelineDepth::new(1).current(), 1);
    }
}
