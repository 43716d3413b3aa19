//! What the model tests share: clients of a ring that run unchanged on loom,
//! on shuttle and on real threads, and the outcomes that a queue allows.
//!
//! A client is a small program of a few threads. It answers its outcome as a
//! text, one part a thread: `ok,full | 1,empty | left 2`. The tests compare the
//! set of outcomes that were seen with the set that is allowed.
#![allow(dead_code, unreachable_pub)] // each test uses a part of this

pub mod by_hand;
#[cfg(all(turtle_loom, turtle_mutate))]
pub mod cases;
pub mod clients;
#[cfg(turtle_loom)]
pub mod explore;
#[cfg(all(turtle_loom, turtle_mutate))]
pub mod mortal;
#[cfg(any(shuttle, all(turtle_loom, turtle_mutate)))]
pub mod mutants;
#[cfg(all(turtle_loom, turtle_mutate))]
pub mod ordered;
pub mod program;
pub mod raw;
pub mod sources;
pub mod spec;
pub mod waiting;

/// Threads of the checker that this build is for.
pub mod thread {
    #[cfg(turtle_loom)]
    pub use loom::thread::{spawn, yield_now};
    #[cfg(shuttle)]
    pub use shuttle::thread::{spawn, yield_now};
    #[cfg(not(any(turtle_loom, shuttle)))]
    pub use std::thread::{spawn, yield_now};
}

use std::collections::BTreeSet;

/// Chance that is the same for the same number.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Of a run's number.
    pub fn of(number: u64) -> Self {
        let mut dice = Self(number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        dice.below(2);
        dice
    }

    /// 0 to `n` - 1; 0 for none.
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n.max(1)
    }
}

/// The answer of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Answer {
    /// Done; for a seal: done.
    Ok,
    /// A pop's element.
    Got(u64),
    /// A batch pushed this many.
    Pushed(usize),
    /// A batch popped these, at most four.
    Run([u64; 4], usize),
    /// As the engines say it.
    Full,
    /// As the engines say it.
    Empty,
    /// As the engines say it.
    Busy,
    /// As the engines say it.
    Closed,
}

impl std::fmt::Display for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Answer::Ok => f.write_str("ok"),
            Answer::Got(value) => write!(f, "{value}"),
            Answer::Pushed(n) => write!(f, "+{n}"),
            Answer::Run(values, n) => write!(f, "{:?}", &values[..*n]),
            Answer::Full => f.write_str("full"),
            Answer::Empty => f.write_str("empty"),
            Answer::Busy => f.write_str("busy"),
            Answer::Closed => f.write_str("closed"),
        }
    }
}

/// Answers of one thread, in order.
pub fn line(answers: &[Answer]) -> String {
    let words: Vec<_> = answers.iter().map(ToString::to_string).collect();
    words.join(",")
}

/// A set of outcomes.
pub type Outcomes = BTreeSet<String>;

/// The set of these outcomes.
pub fn outcomes<'a>(list: impl IntoIterator<Item = &'a str>) -> Outcomes {
    list.into_iter().map(str::to_string).collect()
}
