//! Pacing: keeping the two sides out of each other's lines.
//!
//! Two sides that poll each other's words fall into lock-step: each element
//! then costs a line transfer both ways, ten times what it costs in a run.
//! The cure is a bounded wait for a run: a side that finds little looks a few
//! more times, as long as looking pays. It is local to a handle, never needed
//! for correctness, and gives itself up when nothing comes (a lone element
//! must not wait for company).

use crate::atomic::pause;

/// What one more look found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// Enough for a run.
    Enough,
    /// More than before.
    More,
    /// Nothing new.
    Same,
    /// Not enough; how much cannot be told.
    Unknown,
}

/// One side's private pacing state: a few numbers in one word, so that a face
/// without handles can keep it where all threads of a side find it. It is a
/// hint: any value is harmless, and so is a lost change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace(u32);

/// The last call was refused.
const BLOCKED: u32 = 1;
/// The last run was there at the first look: the next one will be, too.
const FLOWING: u32 = 2;
/// How often the penalty was doubled.
const DOUBLED: u32 = 0xff << 8;
/// Chances to let pass before gathering is tried again.
const REST: u32 = 0xffff << 16;

/// The largest slot whose lines are asked for in advance; of larger ones the
/// processor sees by itself where they lead.
pub(super) const LARGEST_AHEAD: usize = 2048;

/// Looks at most, and pauses (11 ns each on the reference machine) before each.
const LOOKS: u32 = 8;
const PAUSES: u32 = 16;
/// From here on gathering costs more than it saves (1 KiB: 0.85 of rtrb with
/// it, 1.1 to 1.2 without: docs/benchmarks.md).
const LARGE_SLOT: usize = 512;
/// A gathering that does not pay costs 16 chances, then 32, … then 1,024: a
/// lone element waits for company once in a thousand times.
const FIRST_PENALTY: u32 = 16;
const MOST_DOUBLED: u32 = 6;

impl Pace {
    /// The state as a word.
    #[inline(always)]
    #[must_use]
    pub const fn hint(self) -> u32 {
        self.0
    }
    /// The state that `hint` was, or any other.
    #[inline(always)]
    #[must_use]
    pub const fn from_hint(hint: u32) -> Self {
        Self(hint)
    }
    #[inline(always)]
    pub(crate) fn blocked(self) -> bool {
        self.0 & BLOCKED != 0
    }
    #[inline(always)]
    pub(crate) fn set_blocked(&mut self, to: bool) {
        self.0 = (self.0 & !BLOCKED) | (u32::from(to) * BLOCKED);
    }
    #[inline(always)]
    pub(crate) fn flowing(self) -> bool {
        self.0 & FLOWING != 0
    }
    #[inline(always)]
    pub(crate) fn set_flowing(&mut self, to: bool) {
        self.0 = (self.0 & !FLOWING) | (u32::from(to) * FLOWING);
    }
    /// Notes what a gathering came to: whether it paid, or `rest` chances to
    /// let pass; `doubled` is the next penalty.
    fn note(&mut self, rest: u32, doubled: u32) {
        self.0 = self.0 & (BLOCKED | FLOWING)
            | rest << REST.trailing_zeros()
            | doubled << DOUBLED.trailing_zeros();
    }

    /// A run worth waiting for: half the ring, at most 4 KiB of slots; 0 (never
    /// wait) for tiny rings and for large slots, of which one is work enough to
    /// keep the sides apart.
    #[must_use]
    pub const fn goal(capacity: usize, stride: usize) -> usize {
        let by_bytes = match stride {
            0 => 4096,
            small if small < LARGE_SLOT => 4096 / small,
            _ => 0,
        };
        if by_bytes < capacity / 2 {
            by_bytes
        } else {
            capacity / 2
        }
    }

    /// Lets one chance to gather pass, if it is to be let pass.
    #[inline(always)]
    pub(crate) fn rests(&mut self) -> bool {
        let resting = self.0 & REST != 0;
        if resting {
            self.0 -= 1 << REST.trailing_zeros();
        }
        resting
    }

    /// Looks again, within bounds, until there is enough or it does not pay.
    pub fn gather(&mut self, mut look: impl FnMut() -> Look) {
        let doubled = ((self.0 & DOUBLED) >> DOUBLED.trailing_zeros()).min(MOST_DOUBLED);
        if self.rests() {
            return;
        }
        let mut last = Look::Unknown;
        for _ in 0..LOOKS {
            for _ in 0..PAUSES {
                pause();
            }
            last = look();
            match last {
                Look::Enough => {
                    self.note(0, 0);
                    return;
                }
                Look::Same => break,
                Look::More | Look::Unknown => {}
            }
        }
        if last != Look::More {
            self.note(FIRST_PENALTY << doubled, (doubled + 1).min(MOST_DOUBLED));
        }
    }
}
