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

/// One side's private pacing state.
#[derive(Debug)]
pub struct Pace {
    /// The last call was refused.
    pub(crate) blocked: bool,
    /// The last run was there at the first look: the next one will be, too.
    pub(crate) flowing: bool,
    /// Chances to let pass before gathering is tried again.
    rest: u32,
    /// What `rest` becomes when gathering does not pay.
    penalty: u32,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            blocked: false,
            flowing: false,
            rest: 0,
            penalty: FIRST_PENALTY,
        }
    }
}

/// Looks at most, and pauses (11 ns each on the reference machine) before each.
const LOOKS: u32 = 8;
const PAUSES: u32 = 16;
/// From here on gathering costs more than it saves (1 KiB: 0.85 of rtrb with
/// it, 1.1 to 1.2 without).
const LARGE_SLOT: usize = 512;
/// A gathering that does not pay costs 16 chances, then 32, … then 1,024: a
/// lone element waits for company once in a thousand times.
const FIRST_PENALTY: u32 = 16;
const LAST_PENALTY: u32 = 1024;

impl Pace {
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

    /// Looks again, within bounds, until there is enough or it does not pay.
    pub fn gather(&mut self, mut look: impl FnMut() -> Look) {
        if self.rest > 0 {
            self.rest -= 1;
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
                    self.penalty = FIRST_PENALTY;
                    return;
                }
                Look::Same => break,
                Look::More | Look::Unknown => {}
            }
        }
        if last != Look::More {
            self.rest = self.penalty;
            self.penalty = (self.penalty * 2).min(LAST_PENALTY);
        }
    }
}
