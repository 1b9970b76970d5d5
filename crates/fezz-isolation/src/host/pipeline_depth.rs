//! The adaptive pipeline depth of a connection: as many calls as the worker completes in a fixed time.

/// Time in which a worker should complete a full pipeline, in nanoseconds.
const TARGET_NS: u64 = 200_000;
/// Deepest pipeline, in calls.
const MAX_DEPTH: usize = 16;

/// Tracks the typical duration of a call. It moves by a quarter with each call, so that a few slow ones do not count.
#[derive(Debug)]
pub(super) struct PipelineDepth {
    typical_ns: u64,
    max_depth: usize,
}

impl PipelineDepth {
    /// The depth for a worker without calls so far: 1 at first, and never more than `slots`.
    pub(super) fn new(slots: usize) -> Self {
        Self { typical_ns: TARGET_NS, max_depth: MAX_DEPTH.min(slots) }
    }

    /// Records the duration of a call, in nanoseconds.
    pub(super) const fn record(&mut self, took_ns: u64) {
        let step = self.typical_ns / 4;
        if took_ns > self.typical_ns {
            self.typical_ns += step + 1;
        } else {
            self.typical_ns -= step;
        }
    }

    /// Back to a depth of 1, after a call that stalled the pipeline.
    pub(super) const fn reset(&mut self) {
        self.typical_ns = TARGET_NS;
    }

    /// How many calls may be in flight.
    pub(super) fn current(&self) -> usize {
        usize::try_from(TARGET_NS / self.typical_ns.max(1)).unwrap_or(MAX_DEPTH).clamp(1, self.max_depth)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fast_calls_deepen_the_pipeline_and_slow_ones_do_not() {
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
