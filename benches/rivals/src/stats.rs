//! Medians, geometric means and bootstrap intervals.

use serde::Serialize;

/// Resamples of every bootstrap.
const RESAMPLES: usize = 4000;

/// A small generator with a fixed seed: the same raw numbers give the same interval.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A sequence of its own for each seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits (splitmix64).
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: usize) -> usize {
        ((u128::from(self.bits()) * bound as u128) >> 64) as usize
    }

    /// A random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i + 1));
        }
    }
}

/// The middle value; of an even count, the mean of the two in the middle.
///
/// # Panics
/// On an empty slice.
pub fn median(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "a median of nothing");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

/// Value below which the share `q` of a sorted slice lies.
///
/// # Panics
/// On an empty slice.
pub fn quantile<T: Copy>(sorted: &[T], q: f64) -> T {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted[rank.clamp(1, sorted.len()) - 1]
}

/// Geometric mean of positive numbers.
///
/// # Panics
/// On an empty slice.
pub fn geometric_mean(values: &[f64]) -> f64 {
    assert!(!values.is_empty(), "a mean of nothing");
    (values.iter().map(|v| v.ln()).sum::<f64>() / values.len() as f64).exp()
}

/// A figure with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// The figure itself.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// Median of paired ratios, with the interval of a percentile bootstrap over the pairs.
    ///
    /// # Panics
    /// On an empty slice.
    pub fn of_ratios(ratios: &[f64]) -> Self {
        Self::of_rows(&[ratios])
    }

    /// Geometric mean over rows of each row's median; every row is resampled by itself.
    ///
    /// # Panics
    /// Without rows, or on an empty one.
    pub fn of_rows(rows: &[&[f64]]) -> Self {
        let figure = |rows: &[Vec<f64>]| {
            geometric_mean(&rows.iter().map(|row| median(row)).collect::<Vec<_>>())
        };
        let original: Vec<Vec<f64>> = rows.iter().map(|row| row.to_vec()).collect();
        let mut rng = Rng::new(0x7475_7274_6c65);
        let mut drawn = original.clone();
        let mut figures: Vec<f64> = (0..RESAMPLES)
            .map(|_| {
                for (to, from) in drawn.iter_mut().zip(&original) {
                    to.iter_mut()
                        .for_each(|value| *value = from[rng.below(from.len())]);
                }
                figure(&drawn)
            })
            .collect();
        figures.sort_by(f64::total_cmp);
        Self {
            median: figure(&original),
            low: quantile(&figures, 0.025),
            high: quantile(&figures, 0.975),
        }
    }

    /// Whether the interval excludes 1: the two differ.
    pub fn differs(&self) -> bool {
        self.low > 1.0 || self.high < 1.0
    }
}

/// What a figure is asked to reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bar {
    /// Large is good.
    AtLeast(f64),
    /// Small is good.
    AtMost(f64),
}

impl Bar {
    /// A bar holds when the better end of the interval reaches it and the median is within 3 %.
    pub fn holds(&self, figure: &Estimate) -> bool {
        match *self {
            Self::AtLeast(bar) => figure.high >= bar && figure.median >= bar * 0.97,
            Self::AtMost(bar) => figure.low <= bar && figure.median <= bar * 1.03,
        }
    }

    /// "holds" or "misses".
    pub fn verdict(&self, figure: &Estimate) -> &'static str {
        if self.holds(figure) {
            "holds"
        } else {
            "misses"
        }
    }
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::AtLeast(bar) => write!(f, ">= {bar}"),
            Self::AtMost(bar) => write!(f, "<= {bar}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Paired runs of a machine whose speed wanders, with 4 % noise on each run.
    fn pairs(rng: &mut Rng, count: usize, factor: f64) -> Vec<f64> {
        let mut noise = |spread: f64| {
            let uniform = |rng: &mut Rng| rng.bits() as f64 / u64::MAX as f64;
            let sum: f64 = (0..12).map(|_| uniform(rng)).sum();
            1.0 + spread * (sum - 6.0)
        };
        (0..count)
            .map(|_| {
                let speed = 50.0 * noise(0.2).abs().max(0.2);
                let (before, after) = (speed * noise(0.04), speed * noise(0.04));
                factor * speed * noise(0.04) / (before * after).sqrt()
            })
            .collect()
    }

    #[test]
    fn a_ten_percent_difference_is_detected() {
        let mut rng = Rng::new(1);
        let found = (0..200).filter(|_| {
            let faster = Estimate::of_ratios(&pairs(&mut rng, 9, 1.10));
            faster.low > 1.0 && faster.differs()
        });
        assert!(
            found.count() >= 180,
            "a 10 % difference must show in at least 90 % of the rows"
        );
        let mut slower = Rng::new(2);
        let slower = Estimate::of_ratios(&pairs(&mut slower, 9, 0.90));
        assert!(slower.high < 1.0, "{slower:?}");
    }

    #[test]
    fn a_subject_against_itself_straddles_one() {
        let mut rng = Rng::new(3);
        let straddling = (0..200)
            .filter(|_| !Estimate::of_ratios(&pairs(&mut rng, 9, 1.0)).differs())
            .count();
        assert!(
            straddling >= 175,
            "only {straddling} of 200 intervals contain 1"
        );
    }

    #[test]
    fn a_missed_bar_is_called_missed() {
        let at = |median: f64| Estimate {
            median,
            low: median - 0.05,
            high: median + 0.05,
        };
        assert!(
            Bar::AtLeast(1.2).holds(&at(1.19)),
            "upper end above, median within 3 %"
        );
        assert!(!Bar::AtLeast(1.2).holds(&at(1.16)), "median too low");
        assert!(!Bar::AtLeast(1.2).holds(&Estimate {
            median: 1.19,
            low: 1.18,
            high: 1.195
        }));
        assert!(Bar::AtMost(1.05).holds(&at(1.07)));
        assert!(!Bar::AtMost(1.05).holds(&at(1.09)), "median too high");
        assert!(!Bar::AtMost(1.05).holds(&Estimate {
            median: 1.07,
            low: 1.06,
            high: 1.2
        }));
    }

    #[test]
    fn rows_are_averaged_by_the_geometric_mean() {
        let estimate = Estimate::of_rows(&[&[2.0, 2.0, 2.0], &[8.0, 8.0, 8.0]]);
        assert!((estimate.median - 4.0).abs() < 1e-9);
        assert_eq!(
            (estimate.low, estimate.high),
            (estimate.median, estimate.median)
        );
    }

    #[test]
    fn medians_and_quantiles() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!(
            (
                quantile(&hundred, 0.5),
                quantile(&hundred, 0.99),
                quantile(&hundred, 1.0)
            ),
            (50, 99, 100)
        );
        assert_eq!(quantile(&[7], 0.0), 7);
    }

    #[test]
    fn a_shuffle_keeps_everything() {
        let mut items: Vec<usize> = (0..50).collect();
        Rng::new(5).shuffle(&mut items);
        assert_ne!(items, (0..50).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..50).collect::<Vec<_>>());
    }
}
