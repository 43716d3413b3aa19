//! What was measured: raw samples and the figures made from them.

use serde_json::{Value, json};
use turtle_buffers::Strategy;

use super::stats::{Spread, quantile};
use super::work::Job;

/// Quantiles that are reported and drawn.
pub(crate) const QUANTILES: [(f64, &str); 6] = [
    (0.5, "p50"),
    (0.9, "p90"),
    (0.99, "p99"),
    (0.999, "p99.9"),
    (0.9999, "p99.99"),
    (1.0, "max"),
];

/// Everything that `turtle bench` measured itself.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) throughput: Vec<Throughput>,
    pub(crate) lone: Vec<Latency>,
    pub(crate) wake: Vec<Latency>,
}

/// Samples of one throughput job, in million items a second.
#[derive(Debug)]
pub(crate) struct Throughput {
    pub(crate) job: Job,
    /// Items that a run moves.
    pub(crate) items: u64,
    pub(crate) samples: Vec<f64>,
}

impl Throughput {
    pub(crate) fn new(job: Job, items: u64) -> Self {
        Self {
            job,
            items,
            samples: Vec::new(),
        }
    }

    pub(crate) fn spread(&self) -> Spread {
        Spread::of(&self.samples)
    }

    pub(crate) fn json(&self) -> Value {
        let spread = self.spread();
        json!({
            "strategy": self.job.strategy.name(),
            "producers": self.job.producers,
            "consumers": self.job.consumers,
            "batch": self.job.batch,
            "unit": "M/s",
            "median": spread.median,
            "low": spread.low,
            "high": spread.high,
            "items": self.items,
            "samples": self.samples,
        })
    }
}

/// Latencies of one engine in nanoseconds, of all repetitions together and of each.
#[derive(Clone, Debug)]
pub(crate) struct Latency {
    pub(crate) strategy: Strategy,
    /// Sorted.
    all: Vec<u64>,
    /// Median and 99th percentile of each repetition.
    reps: Vec<(u64, u64)>,
}

impl Latency {
    pub(crate) fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            all: Vec::new(),
            reps: Vec::new(),
        }
    }

    /// Adds a repetition's samples.
    pub(crate) fn add(&mut self, mut samples: Vec<u64>) {
        samples.sort_unstable();
        self.reps
            .push((quantile(&samples, 0.5), quantile(&samples, 0.99)));
        self.all.append(&mut samples);
        self.all.sort_unstable();
    }

    pub(crate) fn quantile(&self, q: f64) -> u64 {
        quantile(&self.all, q)
    }

    /// Whether there are samples beyond the quantile: the 99.99th percentile of 100 samples is just
    /// their maximum.
    pub(crate) fn resolves(&self, q: f64) -> bool {
        q >= 1.0 || self.all.len() as f64 * (1.0 - q) >= 1.0
    }

    pub(crate) fn json(&self) -> Value {
        let mut figures = serde_json::Map::new();
        for (q, name) in QUANTILES {
            let value = self.resolves(q).then(|| self.quantile(q));
            figures.insert(name.into(), json!(value));
        }
        json!({
            "strategy": self.strategy.name(),
            "unit": "ns",
            "count": self.all.len(),
            "quantiles": figures,
            "p50_of_each_rep": self.reps.iter().map(|rep| rep.0).collect::<Vec<_>>(),
            "p99_of_each_rep": self.reps.iter().map(|rep| rep.1).collect::<Vec<_>>(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_needs_samples_beyond_it() {
        let mut latency = Latency::new(Strategy::ALL[0]);
        latency.add((1..=100).rev().collect());
        latency.add((101..=200).collect());
        assert_eq!(latency.quantile(0.5), 100);
        assert!(latency.resolves(0.99) && !latency.resolves(0.999) && latency.resolves(1.0));
        let json = latency.json();
        assert_eq!(json["quantiles"]["p99"], 198);
        assert_eq!(json["quantiles"]["p99.9"], Value::Null);
        assert_eq!(json["quantiles"]["max"], 200);
        assert_eq!(json["p50_of_each_rep"], json!([50, 150]));
    }
}
