//! Latencies in buckets: linear inside each power of two, so that every value is kept to within 0.8 % and a run of any
//! length takes the same memory.

/// Each power of two is cut into 2^BITS buckets.
const BITS: u32 = 7;
const CUTS: usize = 1 << BITS;
const BUCKETS: usize = (64 - BITS as usize + 1) * CUTS;

/// How often each latency was seen.
#[derive(Debug)]
pub(crate) struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    /// Adds one latency.
    pub(crate) fn record(&mut self, nanos: u64) {
        self.counts[bucket(nanos)] += 1;
        self.total += 1;
    }

    /// How many there are.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The latency that `percent` of all stay at or below, in microseconds; 0 where there is none.
    pub(crate) fn percentile_us(&self, percent: u64) -> f64 {
        let rank = (self.total * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(0.0, |bucket| middle(bucket) / 1000.0)
    }
}

fn bucket(nanos: u64) -> usize {
    let shift = (u64::BITS - nanos.leading_zeros()).saturating_sub(BITS + 1);
    let cut = usize::try_from(nanos >> shift).unwrap_or_default();
    shift as usize * CUTS + cut
}

fn middle(bucket: usize) -> f64 {
    let shift = (bucket / CUTS).saturating_sub(1);
    let width = 2_f64.powi(i32::try_from(shift).unwrap_or_default());
    let cut = (bucket - shift * CUTS) as f64;
    // A bucket of width 1 holds one value: that value, not the half after it.
    cut * width + (width - 1.0) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_kept_to_within_a_hundredth() {
        for nanos in [0, 1, 127, 128, 255, 256, 257, 1_000, 53_123, 999_999, 250_000_000, u64::MAX] {
            let kept = middle(bucket(nanos));
            assert!((kept - nanos as f64).abs() <= nanos as f64 * 0.008, "{nanos} became {kept}");
        }
    }

    #[test]
    fn buckets_follow_each_other() {
        assert!((0..100_000_u64).all(|nanos| (0..=1).contains(&(bucket(nanos + 1) - bucket(nanos)))));
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn percentiles_are_ranks() {
        let mut histogram = Histogram::default();
        assert!(histogram.percentile_us(99).abs() < f64::EPSILON);
        (1..=100).for_each(|micros| histogram.record(micros * 1000));
        assert_eq!(histogram.total(), 100);
        for (percent, expected) in [(50, 50.0), (99, 99.0), (100, 100.0)] {
            let found = histogram.percentile_us(percent);
            assert!((found - expected).abs() <= expected * 0.008, "p{percent} is {found}");
        }
    }
}
