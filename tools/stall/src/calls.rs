//! The calls that are stopped, and what the others do meanwhile.

use crate::worlds::Effect;

/// The values that the stopped call pushes.
pub(crate) const VICTIM_VALUES: [u64; 3] = [9_000_001, 9_000_002, 9_000_003];
/// The value that a sleeping producer pushes.
pub(crate) const SLEEPER_VALUE: u64 = 8_000_001;
/// Push-and-pop rounds of the others at one boundary.
pub(crate) const ROUNDS: u32 = 50;

/// A call that is stopped after every instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is described by `name`
pub(crate) enum Call {
    TryPush,
    TryPushFull,
    TryPop,
    TryPopEmpty,
    PushBatch,
    PopBatch,
    ClaimCommit,
    PeekRelease,
    Push,
    Pop,
    PushWakes,
    BatchWakes,
    PopWakes,
    PopSleeps,
    PushSleeps,
    Close,
    CloseWakes,
    Create,
    CreateRaced,
    Attach,
}

/// What the others do while the call is stopped, in the end state they leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Script {
    /// Two pushes, pops until refused, rounds of both; then as at the start.
    Pairs = 0,
    /// Fills the ring until refused, then one of each; leaves it full.
    Full = 1,
    /// Drains it until refused, then one of each; leaves it empty.
    Empty = 2,
    /// One of each, then closes, pushes and drains.
    Close = 3,
    /// Brings what a sleeper waits for.
    Feed = 4,
    /// Nothing: the sleeper is watched ([`Call::has_sleeper`]).
    Watch = 5,
    /// Opens the ring of that name and uses it.
    Open = 6,
    /// One call like the victim's, which has the same sleeper to wake.
    Crowd = 7,
}

impl Script {
    /// The script of this number.
    pub(crate) fn from_number(number: u32) -> Self {
        let all = [Self::Pairs, Self::Full, Self::Empty, Self::Close];
        let more = [Self::Feed, Self::Watch, Self::Open, Self::Crowd];
        all.into_iter()
            .chain(more)
            .find(|script| *script as u32 == number)
            .expect("a number of ours")
    }
}

/// The side that the stopped thread is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// A producer.
    Push,
    /// A consumer.
    Pop,
    /// Neither: it holds the ring.
    Ring,
}

impl Call {
    /// Every call, in the order of the table.
    pub(crate) const ALL: [Call; 20] = [
        Call::TryPush,
        Call::TryPushFull,
        Call::TryPop,
        Call::TryPopEmpty,
        Call::PushBatch,
        Call::PopBatch,
        Call::ClaimCommit,
        Call::PeekRelease,
        Call::Push,
        Call::Pop,
        Call::PushWakes,
        Call::BatchWakes,
        Call::PopWakes,
        Call::PopSleeps,
        Call::PushSleeps,
        Call::Close,
        Call::CloseWakes,
        Call::Create,
        Call::CreateRaced,
        Call::Attach,
    ];

    /// Calls that every queue has, the tool's own wrong ones too.
    pub(crate) const BASIC: [Call; 4] = [
        Call::TryPush,
        Call::TryPushFull,
        Call::TryPop,
        Call::TryPopEmpty,
    ];

    /// Its name in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::TryPush => "try_push",
            Self::TryPushFull => "try_push, ring full",
            Self::TryPop => "try_pop",
            Self::TryPopEmpty => "try_pop, ring empty",
            Self::PushBatch => "try_push_batch of 3",
            Self::PopBatch => "try_pop_batch of 3",
            Self::ClaimCommit => "claim, commit",
            Self::PeekRelease => "peek, release",
            Self::Push => "push",
            Self::Pop => "pop",
            Self::PushWakes => "try_push, wakes a consumer",
            Self::BatchWakes => "batch of 3, wakes a consumer",
            Self::PopWakes => "try_pop, wakes a producer",
            Self::PopSleeps => "pop, goes to sleep",
            Self::PushSleeps => "push, goes to sleep",
            Self::Close => "close",
            Self::CloseWakes => "close, wakes a consumer",
            Self::Create => "create (shared)",
            Self::CreateRaced => "create (shared), raced",
            Self::Attach => "attach (shared)",
        }
    }

    /// The call of this number in [`Call::ALL`].
    pub(crate) fn from_number(number: usize) -> Self {
        Self::ALL[number]
    }

    /// Its number in [`Call::ALL`].
    pub(crate) fn number(self) -> usize {
        Self::ALL
            .iter()
            .position(|call| *call == self)
            .expect("all of them are there")
    }

    /// Whether it opens a ring instead of using one.
    pub(crate) fn opens(self) -> bool {
        matches!(self, Self::Create | Self::CreateRaced | Self::Attach)
    }

    /// Whether another thread sleeps in a blocking call from the start. Such
    /// rings lie in shared memory, where the sleeper looks again soonest.
    pub(crate) fn has_sleeper(self) -> bool {
        matches!(
            self,
            Self::PushWakes | Self::BatchWakes | Self::PopWakes | Self::CloseWakes
        )
    }

    /// Whether the stopped call itself goes to sleep.
    pub(crate) fn sleeps(self) -> bool {
        matches!(self, Self::PopSleeps | Self::PushSleeps)
    }

    /// Whether it waits rather than answer `Full` or `Empty`.
    pub(crate) fn blocks(self) -> bool {
        matches!(self, Self::Push | Self::Pop) || self.sleeps()
    }

    /// The side of the stopped thread.
    pub(crate) fn side(self) -> Side {
        match self {
            Self::TryPush
            | Self::TryPushFull
            | Self::PushBatch
            | Self::ClaimCommit
            | Self::Push
            | Self::PushWakes
            | Self::BatchWakes
            | Self::PushSleeps => Side::Push,
            Self::TryPop
            | Self::TryPopEmpty
            | Self::PopBatch
            | Self::PeekRelease
            | Self::Pop
            | Self::PopWakes
            | Self::PopSleeps => Side::Pop,
            Self::Close | Self::CloseWakes | Self::Create | Self::CreateRaced | Self::Attach => {
                Side::Ring
            }
        }
    }

    /// Elements inside when the call begins; their values count from 1.
    pub(crate) fn start(self, capacity: usize) -> u64 {
        let start = match self {
            Self::TryPushFull | Self::PushSleeps | Self::PopWakes => capacity,
            Self::TryPopEmpty
            | Self::PopSleeps
            | Self::PushWakes
            | Self::BatchWakes
            | Self::CloseWakes => 0,
            Self::TryPush | Self::PushBatch | Self::ClaimCommit | Self::Push | Self::Close => {
                (capacity - 1).min(2)
            }
            Self::TryPop | Self::PopBatch | Self::PeekRelease | Self::Pop => capacity.min(4),
            Self::Create | Self::CreateRaced | Self::Attach => 0,
        };
        start as u64
    }

    /// Whether it moves several elements.
    pub(crate) fn is_batch(self) -> bool {
        matches!(self, Self::PushBatch | Self::PopBatch | Self::BatchWakes)
    }

    /// What it does when it takes effect.
    pub(crate) fn effect(self) -> Effect {
        match (self, self.side()) {
            (Self::PushBatch | Self::BatchWakes, _) => Effect::Push(VICTIM_VALUES.to_vec()),
            (Self::PopBatch, _) => Effect::Pop(VICTIM_VALUES.len()),
            (_, Side::Push) => Effect::Push(VICTIM_VALUES[..1].to_vec()),
            (_, Side::Pop) => Effect::Pop(1),
            (Self::Close | Self::CloseWakes, Side::Ring) => Effect::Close,
            (_, Side::Ring) => Effect::Nothing,
        }
    }

    /// What the others do at each boundary: a fresh ring and a fresh call for
    /// each script, beside `Watch`. A blocking call is left something to return with.
    pub(crate) fn scripts(self) -> &'static [Script] {
        if self.opens() {
            &[Script::Open]
        } else if self.has_sleeper() {
            &[Script::Crowd]
        } else if self.sleeps() {
            &[Script::Feed, Script::Close]
        } else if self == Self::Push {
            &[Script::Pairs, Script::Empty, Script::Close]
        } else if self == Self::Pop {
            &[Script::Pairs, Script::Full, Script::Close]
        } else {
            &[Script::Pairs, Script::Full, Script::Empty, Script::Close]
        }
    }
}
