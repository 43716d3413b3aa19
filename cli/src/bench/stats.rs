//! Order statistics, and a small random generator for gaps.

/// A median and how far the samples lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Spread {
    /// Of at least one sample.
    pub(crate) fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        let median = if sorted.len().is_multiple_of(2) {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        } else {
            sorted[middle]
        };
        Self {
            median,
            low: sorted[0],
            high: sorted[sorted.len() - 1],
        }
    }
}

/// The smallest sample that at least the share `q` of all lies at or below.
pub(crate) fn quantile(sorted: &[u64], q: f64) -> u64 {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// xorshift64: G. Marsaglia, "Xorshift RNGs", 2003. Good enough to vary gaps.
#[derive(Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    /// Any seed but 0.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_odd_and_even_counts() {
        assert_eq!(
            Spread::of(&[3.0, 1.0, 2.0]),
            Spread {
                median: 2.0,
                low: 1.0,
                high: 3.0
            }
        );
        assert_eq!(Spread::of(&[4.0, 1.0]).median, 2.5);
    }

    #[test]
    fn quantiles_are_samples() {
        let sorted: Vec<u64> = (1..=1000).collect();
        for (q, value) in [(0.0, 1), (0.5, 500), (0.99, 990), (0.999, 999), (1.0, 1000)] {
            assert_eq!(quantile(&sorted, q), value, "{q}");
        }
        assert_eq!(quantile(&[7], 0.5), 7);
    }

    #[test]
    fn gaps_vary_and_stay_below_the_bound() {
        let mut rng = Rng::new(1);
        let gaps: Vec<_> = (0..100).map(|_| rng.below(10)).collect();
        assert!(gaps.iter().all(|gap| *gap < 10));
        assert!((0..10).all(|value| gaps.contains(&value)), "{gaps:?}");
    }
}
