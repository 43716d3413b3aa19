//! Cache lines: who holds which, and what it costs to get one.

use std::collections::{HashMap, VecDeque};

/// Picoseconds of simulated time.
pub type Time = u64;

/// One nanosecond.
pub const NS: Time = 1000;

/// Cores at most: a line's holders are the bits of one number.
pub const MOST_CORES: usize = 128;

/// What things cost. [`Model::REFERENCE`] says where its numbers come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Model {
    /// Bytes of a line, a power of two.
    pub line: usize,
    /// A load or store that finds its line.
    pub hit: Time,
    /// A read-modify-write on a line that the core has for itself.
    pub rmw: Time,
    /// A line comes from another core.
    pub transfer: Time,
    /// A shared line becomes this core's alone: the others give their copies up.
    pub upgrade: Time,
    /// A line that nobody has had yet.
    pub memory: Time,
    /// A line that came to be written stays for so long, whoever else asks.
    pub hold: Time,
    /// A full fence, the waiting for its own stores apart.
    pub fence: Time,
    /// One pause of a spinning thread.
    pub pause: Time,
    /// Giving the processor away and getting it back.
    pub yields: Time,
    /// From the wake-up of a sleeper until it runs.
    pub wake: Time,
    /// A written line is given away whole to the first who reads it, so that
    /// a read and a write after it cost one transfer.
    pub migratory: bool,
    /// Stores that may be on their way while the core goes on.
    pub stores: usize,
    /// Lines that may be on their way because of a prefetch.
    pub prefetches: usize,
    /// Latencies vary by up to so many percent, drawn from the seed.
    pub jitter: u64,
}

impl Model {
    /// The reference machine: two cores of a Sapphire-Rapids-class Xeon, one
    /// thread each. The table in `docs/cost.md` gives the measurement behind
    /// each number.
    pub const REFERENCE: Self = Self {
        line: 64,
        hit: 300,
        rmw: 5 * NS,
        transfer: 55 * NS,
        upgrade: 55 * NS,
        memory: 100 * NS,
        hold: 15 * NS,
        fence: 12 * NS,
        pause: 11 * NS,
        yields: 180 * NS,
        wake: 5000 * NS,
        migratory: true,
        stores: 56,
        prefetches: 16,
        jitter: 10,
    };

    /// The same without chance: for cases whose answer is known.
    #[must_use]
    pub const fn exact(self) -> Self {
        Self { jitter: 0, ..self }
    }
}

/// What an access does to its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Reads.
    Load,
    /// Writes; the core does not wait for the line.
    Store,
    /// Reads and writes in one; the core waits for the line and for its stores.
    Rmw,
}

impl Kind {
    fn writes(self) -> bool {
        self != Kind::Load
    }
}

/// How an access found its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Here, in a state that will do.
    Hit,
    /// With another core.
    Elsewhere,
    /// Here, and elsewhere too: the other copies had to go.
    Shared,
    /// Nowhere: first touched.
    Nowhere,
}

/// A line. Modified: `holders` is one core and `dirty`; exclusive: one core,
/// and `owned`; shared: any number of holders; invalid: none.
#[derive(Clone, Debug, Default)]
struct Line {
    holders: u128,
    owned: bool,
    dirty: bool,
    /// Nobody else gets it before.
    free: Time,
    /// On its way to this core until then, by a prefetch.
    coming: Option<(usize, Time)>,
    /// Cores that wait for it, in the order in which they asked.
    queue: VecDeque<usize>,
}

/// Every line that was ever touched.
#[derive(Debug)]
pub(super) struct Directory {
    lines: HashMap<usize, Line>,
    model: Model,
}

impl Directory {
    pub(super) fn new(model: Model) -> Self {
        assert!(model.line.is_power_of_two(), "a line is a power of two");
        Self {
            lines: HashMap::new(),
            model,
        }
    }

    /// How `core` would find the line of `address`.
    pub(super) fn finds(&self, core: usize, address: usize, kind: Kind) -> Found {
        let me = 1 << core;
        match self.lines.get(&(address / self.model.line)) {
            None => Found::Nowhere,
            Some(line) if line.holders & me == 0 => Found::Elsewhere,
            Some(line) if line.owned || !kind.writes() => Found::Hit,
            Some(_) => Found::Shared,
        }
    }

    /// From when on the line can move.
    pub(super) fn free(&self, address: usize) -> Time {
        self.lines
            .get(&(address / self.model.line))
            .map_or(0, |line| line.free)
    }

    /// Whether `core` must let others have the line of `address` first; if so,
    /// or if the line cannot move yet, it stands in the queue from now on.
    pub(super) fn waits_behind(&mut self, core: usize, address: usize, now: Time) -> bool {
        let Some(line) = self.lines.get_mut(&(address / self.model.line)) else {
            return false;
        };
        if (line.free > now || !line.queue.is_empty()) && !line.queue.contains(&core) {
            line.queue.push_back(core);
        }
        line.queue.front().is_some_and(|first| *first != core)
    }

    /// `core` has the line of `address`: who is the next to get it, and when.
    pub(super) fn next_in_line(&mut self, core: usize, address: usize) -> Option<(usize, Time)> {
        let line = self.lines.get_mut(&(address / self.model.line))?;
        if line.queue.front() != Some(&core) {
            return None;
        }
        line.queue.pop_front();
        line.queue.front().map(|next| (*next, line.free))
    }

    /// Whether the line is on its way, or somebody waits for it.
    pub(super) fn busy(&self, address: usize, now: Time) -> bool {
        self.lines
            .get(&(address / self.model.line))
            .is_some_and(|line| line.free > now || !line.queue.is_empty())
    }

    /// What getting a line costs, chance apart.
    pub(super) fn price(&self, found: Found) -> Time {
        match found {
            Found::Hit => 0,
            Found::Elsewhere => self.model.transfer,
            Found::Shared => self.model.upgrade,
            Found::Nowhere => self.model.memory,
        }
    }

    /// The line of `address` is `core`'s from `at` on, in the state that
    /// `kind` needs. `ahead`: asked for by a prefetch, so not there before.
    pub(super) fn take(
        &mut self,
        core: usize,
        address: usize,
        kind: Kind,
        found: Found,
        at: Time,
        ahead: bool,
    ) {
        let me: u128 = 1 << core;
        let (hold, migratory) = (self.model.hold, self.model.migratory);
        let line = self.lines.entry(address / self.model.line).or_default();
        if found != Found::Hit {
            line.coming = ahead.then_some((core, at));
        }
        if kind.writes() {
            line.free = match found {
                Found::Hit => line.free.max(at),
                _ => at + hold,
            };
            line.holders = me;
            line.owned = true;
            // A prefetch gets the line ready; it writes nothing.
            line.dirty |= !ahead;
            return;
        }
        match found {
            Found::Hit | Found::Shared => {}
            Found::Nowhere => {
                line.holders = me;
                line.owned = true;
            }
            Found::Elsewhere if line.owned && line.dirty && migratory => {
                line.holders = me;
                line.dirty = false; // so that a second reader shares it
                line.free = at + hold;
            }
            Found::Elsewhere => {
                if line.owned && line.dirty {
                    line.free = at;
                }
                line.holders |= me;
                (line.owned, line.dirty) = (false, false);
            }
        }
    }

    /// When a line that `core` holds is really there.
    pub(super) fn arrives(&self, core: usize, address: usize) -> Time {
        match self.lines.get(&(address / self.model.line)) {
            Some(Line {
                coming: Some((to, at)),
                ..
            }) if *to == core => *at,
            _ => 0,
        }
    }
}

/// Chance from a seed.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One of 0, 1, … `n` − 1.
    pub(super) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    /// `time`, more or less.
    pub(super) fn about(&mut self, time: Time, percent: u64) -> Time {
        if percent == 0 || time == 0 {
            return time;
        }
        time * (100 - percent + self.below(2 * percent + 1)) / 100
    }
}
