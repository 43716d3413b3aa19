//! What a simulation counted.

use std::collections::BTreeMap;

use super::model::{Found, Kind, NS, Time};

/// Accesses and what they moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Loads of shared words.
    pub loads: u64,
    /// Stores to shared words.
    pub stores: u64,
    /// Read-modify-writes of shared words, those that failed included.
    pub rmws: u64,
    /// Accesses to payloads.
    pub payloads: u64,
    /// Lines asked for in advance that had to come.
    pub prefetches: u64,
    /// Full fences.
    pub fences: u64,
    /// Pauses.
    pub pauses: u64,
    /// Lines that came from another core.
    pub transfers: u64,
    /// Lines that were shared and became one core's.
    pub upgrades: u64,
    /// Lines that nobody had had.
    pub firsts: u64,
}

impl Counts {
    /// Accesses to shared words: the steps that bounds speak of.
    #[must_use]
    pub const fn accesses(&self) -> u64 {
        self.loads + self.stores + self.rmws
    }

    /// Lines that moved between cores, upgrades included.
    #[must_use]
    pub const fn moved(&self) -> u64 {
        self.transfers + self.upgrades
    }

    pub(super) fn count(&mut self, found: Found) {
        match found {
            Found::Hit => {}
            Found::Elsewhere => self.transfers += 1,
            Found::Shared => self.upgrades += 1,
            Found::Nowhere => self.firsts += 1,
        }
    }

    pub(super) fn count_word(&mut self, kind: Kind) {
        match kind {
            Kind::Load => self.loads += 1,
            Kind::Store => self.stores += 1,
            Kind::Rmw => self.rmws += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.loads += other.loads;
        self.stores += other.stores;
        self.rmws += other.rmws;
        self.payloads += other.payloads;
        self.prefetches += other.prefetches;
        self.fences += other.fences;
        self.pauses += other.pauses;
        self.transfers += other.transfers;
        self.upgrades += other.upgrades;
        self.firsts += other.firsts;
    }
}

/// Calls of one kind on one core.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// How many completed.
    pub completed: u64,
    /// Their accesses to shared words.
    pub accesses: u64,
    /// The most accesses that any one of them made, one that did not complete
    /// before the end included.
    pub most: u64,
}

/// What one core did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// In all.
    pub counts: Counts,
    /// By the name that [`Core::call`](super::Core::call) was given.
    pub calls: BTreeMap<&'static str, Calls>,
    /// When its body returned.
    pub time: Time,
}

/// What a simulation counted. Two of the same seed are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Core by core.
    pub cores: Vec<Done>,
    /// By step; `payload` and `prefetch` are there, too.
    pub steps: BTreeMap<&'static str, Counts>,
}

impl Report {
    /// All cores together.
    #[must_use]
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for core in &self.cores {
            total.add(&core.counts);
        }
        total
    }

    /// When the last body returned.
    #[must_use]
    pub fn time(&self) -> Time {
        self.cores.iter().map(|core| core.time).max().unwrap_or(0)
    }

    /// The same in nanoseconds.
    #[must_use]
    pub fn ns(&self) -> f64 {
        self.time() as f64 / NS as f64
    }

    /// Calls of a kind, on all cores.
    #[must_use]
    pub fn calls(&self, name: &str) -> Calls {
        let mut all = Calls::default();
        for calls in self.cores.iter().filter_map(|core| core.calls.get(name)) {
            all.completed += calls.completed;
            all.accesses += calls.accesses;
            all.most = all.most.max(calls.most);
        }
        all
    }

    /// The most own accesses to shared words of any one call.
    #[must_use]
    pub fn most(&self) -> u64 {
        let calls = self.cores.iter().flat_map(|core| core.calls.values());
        calls.map(|calls| calls.most).max().unwrap_or(0)
    }
}
