//! Checks recorded histories of FIFO queues: is there an order of the calls, each at one instant
//! between its call and its return, in which a simple bounded queue would have given the same
//! answers? (Linearizability, with this crate's outcomes `Full`, `Empty`, `Busy` and `Closed`.)
//!
//! The tests of this crate use it on its own rings; it works for any queue, in any language that
//! can write down four numbers a call. Record with a [`Recorder`], or build [`Event`]s from your
//! own clock; then [`check`] takes O(n log n) time for n events, more than a million a second.
//!
//! ```
//! use std::collections::VecDeque;
//! use std::sync::Mutex;
//! use turtle_buffers::check::{Op, Recorder, Spec, check};
//!
//! const CAPACITY: usize = 4;
//! let queue = Mutex::new(VecDeque::new());
//! let recorder = Recorder::new();
//!
//! std::thread::scope(|threads| {
//!     for producer in 0..2 {
//!         let (queue, mut log) = (&queue, recorder.log());
//!         threads.spawn(move || {
//!             for n in 0..500 {
//!                 let value = producer * 1000 + n; // every element is different
//!                 let call = log.call();
//!                 let mut inside = queue.lock().unwrap();
//!                 let accepted = inside.len() < CAPACITY;
//!                 if accepted {
//!                     inside.push_back(value);
//!                 }
//!                 drop(inside);
//!                 log.ret(call, if accepted { Op::Push(value) } else { Op::PushFull });
//!             }
//!         });
//!     }
//!     let (queue, mut log) = (&queue, recorder.log());
//!     threads.spawn(move || {
//!         for _ in 0..1000 {
//!             let call = log.call();
//!             let taken = queue.lock().unwrap().pop_front();
//!             log.ret(call, taken.map_or(Op::PopEmpty, Op::Pop));
//!         }
//!     });
//! });
//!
//! match check(&recorder.finish(), &Spec::bounded(CAPACITY)) {
//!     Ok(report) => println!("{report}"),
//!     Err(violation) => panic!("{violation}"),
//! }
//! ```
//!
//! A wrong history may be long. [`smallest`] leaves the few operations that show the error, and a
//! [`Timeline`] draws them. [`History::write_lines`] writes a history as JSON lines, which
//! `turtle check` reads, from any language.
//!
//! ```
//! use turtle_buffers::check::{Event, History, Op::*, Spec, Timeline, check, smallest};
//!
//! let event = |thread, op, call, ret| Event { thread, op, call, ret };
//! let history: History = [event(0, Push(1), 0, 1), event(1, PopEmpty, 2, 3)].into_iter().collect();
//! if let Err(violation) = check(&history, &Spec::unbounded()) {
//!     let small = smallest(&history, &Spec::unbounded(), &violation);
//!     let picture = Timeline::of(&small).to_string(); // SVG
//!     # assert!(picture.starts_with("<svg "));
//! }
//! ```
//!
//! # What is found
//!
//! Each kind of error has its own [`Violation`], which carries the events that prove it.
//!
//! | checked | for an unbounded queue | for a bounded one |
//! |---|---|---|
//! | values: from nowhere, too early, twice ([`Violation::NeverPushed`], …) | exact | exact |
//! | order ([`Violation::OrderInversion`], [`Violation::OrderCycle`]) | exact | what capacity adds to the order is not seen |
//! | Empty ([`Violation::FalseEmpty`]) | exact | same |
//! | Closed, pushes after closing | exact | same |
//! | lost elements, if the queue was drained ([`Violation::Lost`]) | exact | exact |
//! | Full ([`Violation::FalseFull`]), overfull ([`Violation::OverCapacity`]) | (Full is always wrong) | sound, not exact |
//! | Busy ([`Violation::UnjustifiedBusy`]) | as defined below | as defined below |
//!
//! *Exact* means that a history without such a finding can be explained, and together: an unbounded
//! history is accepted if and only if it is linearizable. (One exception: for elements that were
//! never popped while some pop's answer is unknown, their place in a batch is not used.) *Sound*
//! means that a finding is an error for certain, but an error may be missed: `Full` is refuted if
//! at no instant of the call even the largest possible number of elements reaches the capacity.
//! [`exhaustive`] is exact for everything and takes only tiny histories; the tests of this crate
//! hold the two against each other.
//!
//! *Busy* is not a state of a queue but an excuse: it needs an opposite operation in flight at
//! some instant of the call, one that succeeded, was abandoned, or never returned. An opposite
//! call that was itself refused is no excuse. It may be of the same thread (a held guard). Whether
//! the other one had already taken effect, or stood in the way, is not looked at.
//!
//! *Full* and *Empty* are also accepted on a closed queue that is full, or empty: both are true,
//! though a caller would rather hear `Closed`.
//!
//! A `Busy`, `Full` or `Empty` that a queue gives too rarely is no error here: progress is not
//! checked.
//!
//! # Method
//!
//! The bad patterns that characterise wrong queue histories are those of Henzinger, Sezgin and
//! Vafeiadis, "Aspect-oriented linearizability proofs" (CONCUR 2013), and Bouajjani, Emmi, Enea
//! and Hamza, "On reducing linearizability to state reachability" (ICALP 2015). Deciding them in
//! O(n log n) by peeling off elements that nothing precedes follows the decrease-and-conquer idea of
//! Lee and Mathur, "Efficient decrease-and-conquer linearizability monitoring" (OOPSLA 2025,
//! arXiv 2410.04581); the same bound is in "Efficient linearizability monitoring" (PLDI 2025,
//! arXiv 2509.17795). Batches, pops with unknown answers, capacity, Busy and Closed are this
//! crate's additions. Why each step loses nothing is said at the head of `table.rs`, `order.rs`
//! and `answers.rs`. The exhaustive search is Wing and Gong's (1993) with Lowe's memory (2017).

#![allow(
    clippy::result_large_err,
    reason = "one result a check; the events in it are the evidence"
)]

mod answers;
mod exhaustive;
mod history;
mod lines;
mod order;
mod record;
mod smallest;
mod sort;
mod table;
mod timeline;
mod violation;
mod words;

use std::fmt;

pub use exhaustive::{Unexplained, exhaustive};
pub use history::{Event, History, INITIAL, Op, PENDING};
pub use record::{Call, Log, Recorder};
pub use smallest::{Smallest, smallest};
pub use timeline::Timeline;
pub use violation::{Inside, Violation};
pub use words::Names;

use answers::Occupancy;
use sort::sort_by_number;
use table::{Input, NEVER, NONE, Table};

/// The queue that a history is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spec {
    /// The exact capacity in elements; `None` for an unbounded queue, where any `Full` is wrong.
    /// (For a queue that is bounded only roughly, leave its `Full` answers out of the history.)
    pub capacity: Option<usize>,
    /// What was inside before the first event, oldest first.
    pub initial: Vec<u64>,
    /// Whether everything was popped in the end: then an element that never came out is lost.
    pub drained: bool,
}

impl Spec {
    /// A queue without a limit, empty at the start.
    pub fn unbounded() -> Self {
        Self::default()
    }

    /// A queue that holds `capacity` elements, empty at the start.
    pub fn bounded(capacity: usize) -> Self {
        Self {
            capacity: Some(capacity),
            ..Self::default()
        }
    }

    /// The same queue, with these elements inside at the start, oldest first.
    pub fn initial(self, values: impl IntoIterator<Item = u64>) -> Self {
        Self {
            initial: values.into_iter().collect(),
            ..self
        }
    }

    /// The same queue; everything was popped in the end.
    pub fn drained(self) -> Self {
        Self {
            drained: true,
            ..self
        }
    }
}

/// What a correct history contained: read it to see that a test exercised what it was meant to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Events.
    pub events: usize,
    /// Elements that went in, those inside at the start included.
    pub pushed: usize,
    /// Elements that came out.
    pub popped: usize,
    /// Answers Full.
    pub full: usize,
    /// Answers Empty.
    pub empty: usize,
    /// Answers Busy, of pushes and pops.
    pub busy: usize,
    /// Answers Closed, of pushes and pops.
    pub closed: usize,
    /// Pops whose answer is not known.
    pub unknown: usize,
    /// The most elements that were certainly inside at once.
    pub fullest: usize,
    /// The most calls in flight at once (a batch is one call). With 1 the history was sequential,
    /// and says nothing about concurrency.
    pub overlap: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} events explained: {} elements in, {} out, at least {} inside at once; \
             {} Full, {} Empty, {} Busy, {} Closed, {} unknown; up to {} calls at once",
            self.events,
            self.pushed,
            self.popped,
            self.fullest,
            self.full,
            self.empty,
            self.busy,
            self.closed,
            self.unknown,
            self.overlap
        )
    }
}

/// Checks a history; see the [module](self) for what is found and how surely.
///
/// O(n log n) time and O(n) memory for n events (about 200 bytes each). If several things are
/// wrong, the one reported is the first in the order in which [`Violation`] lists them, roughly.
///
/// # Errors
///
/// A [`Violation`], with the events that prove it. [`Violation::Malformed`] and
/// [`Violation::Ambiguous`] are faults of the recording, all others of the queue.
pub fn check(history: &History, spec: &Spec) -> Result<Report, Violation> {
    let input = Input::new(history, spec);
    input.validate()?;
    let table = Table::build(input)?;
    if spec.drained {
        nothing_lost(&table)?;
    }
    let order = order::order(&table.input, &table.elements)?;
    let occupancy = Occupancy::new(&table, &order);
    occupancy.empties()?;
    occupancy.closed()?;
    let fullest = occupancy.capacity(spec.capacity)?;
    occupancy.fulls(spec.capacity)?;
    answers::busies(&table)?;
    Ok(report(history, &table, fullest))
}

/// Every element came out, or an unknown pop is left to account for it.
fn nothing_lost(table: &Table<'_>) -> Result<(), Violation> {
    let stayed = || table.elements.iter().filter(|e| e.take.0 == NEVER);
    match stayed().min_by_key(|e| table.input.enter(e.push)) {
        Some(e) => Err(Violation::Lost {
            push: table.input.event(e.push),
            lost: stayed().count(),
        }),
        None => Ok(()),
    }
}

fn report(history: &History, table: &Table<'_>, fullest: usize) -> Report {
    let mut report = Report {
        events: history.len(),
        pushed: table.elements.len(),
        popped: table.elements.iter().filter(|e| e.pop != NONE).count(),
        unknown: table.unknown,
        fullest,
        overlap: overlap(history),
        ..Report::default()
    };
    for event in history.events() {
        match event.op {
            Op::PushFull => report.full += 1,
            Op::PopEmpty => report.empty += 1,
            Op::PushBusy | Op::PopBusy => report.busy += 1,
            Op::PushClosed | Op::PopClosed => report.closed += 1,
            _ => {}
        }
    }
    report
}

/// The most calls in flight at once.
fn overlap(history: &History) -> usize {
    let spec = Spec::default();
    let input = Input::new(history, &spec);
    let mut calls: Vec<u64> = (0..input.len()).map(|i| input.enter(i)).collect();
    let mut returns: Vec<u64> = (0..input.len()).map(|i| input.leave(i)).collect();
    sort_by_number(&mut calls);
    if calls.windows(2).any(|two| two[0] == two[1]) {
        // Perhaps batches, of which only the first member counts.
        let mut members: Vec<_> = (0..input.len()).map(|i| (input.enter(i), i, i)).collect();
        sort_by_number(&mut members);
        let mut repeated = vec![false; members.len()];
        table::chain(&input, &mut members, |_, next| repeated[next] = true);
        members.retain(|&(_, _, i)| !repeated[i]);
        calls = members.iter().map(|member| member.0).collect();
        returns = members.iter().map(|&(.., i)| input.leave(i)).collect();
    }
    sort_by_number(&mut returns);
    let (mut returned, mut most) = (0, 0);
    for (begun, &call) in calls.iter().enumerate() {
        while returns[returned] < call {
            returned += 1;
        }
        most = most.max(begun + 1 - returned);
    }
    most
}
