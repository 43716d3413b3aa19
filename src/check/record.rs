//! Taking histories of running queues: one clock for all, one log for each thread.

// The recorder watches rings, it is no part of one: its clock stays a plain counter when the
// rings' words are replaced by a model checker's.
#![allow(
    clippy::disallowed_types,
    reason = "a checker's clock, not shared state of a ring"
)]

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::history::{Event, History, Op, PENDING};

/// Hands out logs, keeps the clock and collects what the logs wrote.
///
/// The clock is one counter that every stamp increments, sequentially consistent. So stamps are
/// all different and their order is the real order; but each recorded call is then also a pair of
/// full barriers on a shared cache line, which hides missing orderings inside the queue and costs
/// time. Use recorded runs to find wrong algorithms, and a model checker to find weak orderings.
#[derive(Debug, Default)]
pub struct Recorder {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    clock: Clock,
    delivered: Mutex<Delivered>,
}

/// On a cache line of its own (two, because processors fetch them in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Clock(AtomicU64);

#[derive(Debug, Default)]
struct Delivered {
    events: Vec<Event>,
    logs: usize,
    open: usize,
}

impl Shared {
    fn now(&self) -> u64 {
        self.clock.0.fetch_add(1, SeqCst)
    }

    /// A poisoned lock only says that a thread died; what was delivered is whole.
    fn delivered(&self) -> MutexGuard<'_, Delivered> {
        self.delivered
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Recorder {
    /// A recorder with its clock at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// A log for one more thread. Threads are numbered from 0 in the order of these calls.
    pub fn log(&self) -> Log {
        let mut delivered = self.shared.delivered();
        let thread = delivered.logs;
        delivered.logs += 1;
        delivered.open += 1;
        drop(delivered);
        Log {
            shared: Arc::clone(&self.shared),
            thread,
            events: Vec::new(),
            begun: Vec::new(),
        }
    }

    /// What the logs dropped so far have delivered. Logs still open are not in it.
    pub fn delivered(&self) -> History {
        self.shared.delivered().events.clone().into()
    }

    /// The history of all logs.
    ///
    /// # Panics
    ///
    /// If a [`Log`] has not been dropped yet: its events would be missing and the verdict
    /// worthless. ([`delivered`](Self::delivered) gives a partial history all the same.)
    pub fn finish(self) -> History {
        let mut delivered = self.shared.delivered();
        assert!(
            delivered.open == 0,
            "{} log(s) still open: drop them, or join their threads, first",
            delivered.open
        );
        std::mem::take(&mut delivered.events).into()
    }
}

/// The log of one thread. It delivers its events when it is dropped, also by a panic.
///
/// Recording appends to a vector and takes two stamps; it does not wait.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    thread: usize,
    events: Vec<Event>,
    /// Operations announced with `begin` that have not returned.
    begun: Vec<(u64, Op)>,
}

/// An operation that has begun: its stamp, to be handed to [`Log::ret`].
#[derive(Debug)]
#[must_use = "an operation that is not handed to `ret` is missing from the history"]
pub struct Call {
    stamp: u64,
}

impl Call {
    /// The stamp taken at the call.
    pub fn stamp(&self) -> u64 {
        self.stamp
    }
}

impl Log {
    /// The number of this log's thread.
    pub fn thread(&self) -> usize {
        self.thread
    }

    /// Takes the stamp that goes before an operation.
    ///
    /// If the thread can die inside the operation, use [`begin`](Self::begin).
    pub fn call(&mut self) -> Call {
        Call {
            stamp: self.shared.now(),
        }
    }

    /// Like [`call`](Self::call), and says what the operation may have done if it never returns:
    /// [`Op::Push`] with the value, [`Op::PopUnknown`], [`Op::PushAbandoned`] or [`Op::Close`]. If
    /// the log is dropped before the return (a panic), that is recorded, as pending.
    pub fn begin(&mut self, unless_it_returns: Op) -> Call {
        self.begin_batch([unless_it_returns])
    }

    /// [`begin`](Self::begin) for a call that moves several elements.
    pub fn begin_batch(&mut self, unless_it_returns: impl IntoIterator<Item = Op>) -> Call {
        let stamp = self.shared.now();
        self.begun
            .extend(unless_it_returns.into_iter().map(|op| (stamp, op)));
        Call { stamp }
    }

    /// Takes the stamp that goes after an operation and records it.
    pub fn ret(&mut self, call: Call, op: Op) {
        self.ret_batch(call, [op]);
    }

    /// Records a call that moved several elements, in their order. An empty list records nothing.
    pub fn ret_batch(&mut self, call: Call, ops: impl IntoIterator<Item = Op>) {
        let ret = self.shared.now();
        self.record(call, ops, ret);
    }

    /// Records an operation that will never return, such as one of a thread that was stopped for
    /// good or a process that was killed.
    pub fn pending(&mut self, call: Call, op: Op) {
        self.record(call, [op], PENDING);
    }

    fn record(&mut self, call: Call, ops: impl IntoIterator<Item = Op>, ret: u64) {
        self.begun.retain(|&(stamp, _)| stamp != call.stamp);
        let thread = self.thread;
        self.events.extend(ops.into_iter().map(|op| Event {
            thread,
            op,
            call: call.stamp,
            ret,
        }));
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        let thread = self.thread;
        let begun = self.begun.drain(..).map(|(call, op)| Event {
            thread,
            op,
            call,
            ret: PENDING,
        });
        self.events.extend(begun);
        let mut delivered = self.shared.delivered();
        delivered.events.append(&mut self.events);
        delivered.open -= 1;
    }
}
