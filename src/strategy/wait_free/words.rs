//! How the words of the exchange ring are put together.

/// Bits of the two fields of a run.
const RUN_BITS: u32 = 3;
/// Elements that a cell holds at the most.
pub(super) const LONGEST: usize = 1 << RUN_BITS;

/// Status of an announced operation: it ended without effect (or there was none).
pub(super) const BLOCKED: u64 = 0;
/// It is undecided.
pub(super) const PENDING: u64 = 1;
/// It was decided, and gave its cell for the slot's.
pub(super) const WHOLE: u64 = 2;
/// It was decided: a pop got an element of a run of which others are left.
pub(super) const PART: u64 = 3;

/// A slot word, from the top: phase, sealed (1 bit), sequence (2), participant
/// + 1, popped of the run (3), length of the run - 1 (3), cell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    /// Of the cell.
    pub(super) cells: u64,
    /// Shift of the length of the run.
    length: u32,
    /// Shift of what is popped of it.
    popped: u32,
    /// Both of them, in place.
    pub(super) run: u64,
    /// Shift of participant + 1.
    participant: u32,
    /// Of it, unshifted.
    participants: u64,
    /// Shift of the sequence.
    sequence: u32,
    pub(super) sealed: u64,
    /// Bits of a word that nobody may just exchange: sealed, or a claim.
    pub(super) barred: u64,
    /// Shift of the phase, and one phase.
    pub(super) phase: u32,
    pub(super) one: u64,
}

impl Fields {
    /// Bits that are left for the phase.
    pub(super) fn phase_bits(cells: u64, participants: u64) -> u32 {
        let others = bits(cells) + 2 * RUN_BITS + bits(participants + 1) + 3;
        u64::BITS.saturating_sub(others)
    }

    /// `participants` of each side.
    pub(super) fn of(cells: u64, participants: u64) -> Self {
        let length = bits(cells);
        let popped = length + RUN_BITS;
        let participant = popped + RUN_BITS;
        let sequence = participant + bits(participants + 1);
        let sealed = 1 << (sequence + 2);
        let claimants = (1 << bits(participants + 1)) - 1;
        Self {
            cells: (1 << length) - 1,
            length,
            popped,
            run: ((1 << (2 * RUN_BITS)) - 1) << length,
            participant,
            participants: claimants,
            sequence,
            sealed,
            barred: sealed | claimants << participant,
            phase: sequence + 3,
            one: 1 << (sequence + 3),
        }
    }

    #[inline(always)]
    pub(super) fn phase(&self, word: u64) -> u64 {
        word >> self.phase
    }
    #[inline(always)]
    pub(super) fn cell(&self, word: u64) -> u64 {
        word & self.cells
    }
    /// Elements of the run, 1 at least.
    #[inline(always)]
    pub(super) fn length(&self, word: u64) -> u64 {
        (word >> self.length & (LONGEST as u64 - 1)) + 1
    }
    /// How many of them are popped.
    #[inline(always)]
    pub(super) fn popped(&self, word: u64) -> u64 {
        word >> self.popped & (LONGEST as u64 - 1)
    }
    /// How many are left, 1 at least: a hostile word may say more are popped.
    #[inline(always)]
    pub(super) fn left(&self, word: u64) -> u64 {
        self.length(word).saturating_sub(self.popped(word)).max(1)
    }
    /// The field for a run of this length.
    #[inline(always)]
    pub(super) fn run_of(&self, length: u64) -> u64 {
        (length - 1) << self.length
    }
    /// The field of a word's length, nothing popped.
    pub(super) fn length_field(&self, word: u64) -> u64 {
        word & (LONGEST as u64 - 1) << self.length
    }
    /// So many popped elements, to be added.
    #[inline(always)]
    pub(super) fn more_popped(&self, n: u64) -> u64 {
        n << self.popped
    }
    /// Whose claim it is, plus 1; 0: nobody's.
    #[inline(always)]
    pub(super) fn claimant(&self, word: u64) -> u64 {
        word >> self.participant & self.participants
    }
    pub(super) fn sequence(&self, word: u64) -> u64 {
        word >> self.sequence & 3
    }
    /// A claim at this phase; run and cell are the word's if it is a pop's.
    pub(super) fn claim(&self, base: u64, sequence: u64, participant: usize, word: u64) -> u64 {
        let run = if self.phase(base) & 1 == 0 {
            0
        } else {
            word & self.run
        };
        base | (word & self.sealed)
            | (sequence & 3) << self.sequence
            | (participant as u64 + 1) << self.participant
            | run
            | self.cell(word)
    }
    /// The word without its claim.
    pub(super) fn plain(&self, word: u64) -> u64 {
        word & !(3 << self.sequence | self.participants << self.participant)
    }
    /// A state word: sequence, popped of the run, status, cell.
    pub(super) fn state(&self, sequence: u64, status: u64, run: u64, cell: u64) -> u64 {
        (sequence << (RUN_BITS + 2) | run << 2 | status) << self.length | cell
    }
    pub(super) fn state_sequence(&self, state: u64) -> u64 {
        state >> (self.length + 2 + RUN_BITS)
    }
    /// Which element of the run was got.
    pub(super) fn state_run(&self, state: u64) -> u64 {
        state >> (self.length + 2) & (LONGEST as u64 - 1)
    }
    pub(super) fn status(&self, state: u64) -> u64 {
        state >> self.length & 3
    }
}

/// Bits that tell `n` things apart.
pub(super) const fn bits(n: u64) -> u32 {
    u64::BITS - (n - 1).leading_zeros()
}
