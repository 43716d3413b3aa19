//! What one call of one queue at one capacity came to.

use std::collections::BTreeSet;
use std::time::Duration;

use turtle_buffers::Strategy;
use turtle_buffers::wait::RECHECK;

use crate::calls::{Call, Script};
use crate::rival::Flaw;
use crate::worlds::Worlds;

/// A sleeper is up after at most one re-check, which here counts twice: the
/// other half is for being scheduled.
pub(crate) const MEDIAN_DELAY: Duration = RECHECK.saturating_mul(2);
/// Faults kept word for word.
const KEPT: usize = 12;

/// Whose calls are stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    /// An engine of the library.
    Engine(Strategy),
    /// The same, and every call announces itself at once (`Options::patience`).
    Slow(Strategy),
    /// A queue of the tool, with a known fault.
    Rival(Flaw),
}

impl Subject {
    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Engine(strategy) => strategy.name(),
            Self::Slow(_) => "wait_free, slow path", // there is one such engine
            Self::Rival(flaw) => flaw.name(),
        }
    }
    /// Whether a batch is a sequence of decisions, as its module says.
    pub(crate) fn in_parts(self) -> bool {
        matches!(self, Self::Engine(Strategy::WaitFree) | Self::Slow(_))
    }
    /// Whether its table says that a stopped thread can hold others `Busy`.
    pub(crate) fn busy_allowed(self) -> bool {
        match self {
            Self::Engine(strategy) | Self::Slow(strategy) => {
                strategy.traits().stopped_thread.contains("`Busy`")
            }
            Self::Rival(_) => false,
        }
    }
}

/// What went wrong where.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// The boundary.
    pub(crate) boundary: usize,
    /// What the others did there.
    pub(crate) script: Script,
    /// Where in the program, if it lies there.
    pub(crate) offset: Option<u64>,
    /// In words.
    pub(crate) text: String,
}

/// What was found.
#[derive(Debug)]
pub(crate) struct Row {
    /// Whose call.
    pub(crate) subject: Subject,
    /// Which call.
    pub(crate) call: Call,
    /// Of the ring.
    pub(crate) capacity: usize,
    /// Places at which the call was stopped.
    pub(crate) boundaries: usize,
    /// Where the others were told `Busy`.
    pub(crate) busy: BTreeSet<usize>,
    /// Where they hung inside a `try_` call.
    pub(crate) hangs: BTreeSet<usize>,
    /// False answers and losses: boundaries.
    pub(crate) false_at: BTreeSet<usize>,
    /// The first of them in words.
    pub(crate) faults: Vec<Fault>,
    /// From stopping (or letting go) to a sleeper's return.
    pub(crate) delays: Vec<Duration>,
    /// Stops on another path than the undisturbed call's.
    pub(crate) strayed: usize,
    /// Calls made by the others.
    pub(crate) calls: usize,
    /// Offsets in the program, boundary by boundary.
    pub(crate) offsets: Vec<Option<u64>>,
    /// What it took.
    pub(crate) time: Duration,
}

impl Row {
    pub(crate) fn new(subject: Subject, call: Call, capacity: usize) -> Self {
        Self {
            subject,
            call,
            capacity,
            boundaries: 0,
            busy: BTreeSet::new(),
            hangs: BTreeSet::new(),
            false_at: BTreeSet::new(),
            faults: Vec::new(),
            delays: Vec::new(),
            strayed: 0,
            calls: 0,
            offsets: Vec::new(),
            time: Duration::ZERO,
        }
    }

    /// Whether nothing was wrong.
    pub(crate) fn holds(&self) -> bool {
        self.boundaries > 0 && self.false_at.is_empty() && self.hangs.is_empty()
    }

    /// The middle one of the delays.
    pub(crate) fn median_delay(&self) -> Option<Duration> {
        let mut delays = self.delays.clone();
        delays.sort_unstable();
        delays.get(delays.len() / 2).copied()
    }

    /// Notes a false answer or a loss.
    pub(crate) fn fault(&mut self, boundary: usize, script: Script, text: String) {
        self.false_at.insert(boundary);
        if self.faults.len() < KEPT {
            let offset = self.offsets.get(boundary).copied().flatten();
            self.faults.push(Fault {
                boundary,
                script,
                offset,
                text,
            });
        }
    }

    /// What may be true when the call begins.
    pub(crate) fn worlds(&self) -> Worlds {
        let start = 1..=self.call.start(self.capacity);
        let busy = self.subject.busy_allowed();
        Worlds::new(
            self.capacity,
            start,
            self.call.effect(),
            self.call.blocks(),
            busy,
        )
        .in_parts(self.subject.in_parts())
    }
}
