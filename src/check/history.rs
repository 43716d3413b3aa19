//! What was called, when, and what it answered.

use std::fmt;

/// The `ret` stamp of an operation that never returned.
pub const PENDING: u64 = u64::MAX;

/// The `thread` of the made-up events that stand for [`Spec::initial`](super::Spec::initial).
pub const INITIAL: usize = usize::MAX;

/// An operation together with its answer.
///
/// Values name elements, so every pushed value must be different: number the elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Op {
    /// The value was accepted. With `ret` [`PENDING`]: it may have been accepted or not.
    Push(u64),
    /// A push was refused because the queue was full.
    PushFull,
    /// A push was refused because a pop was halfway.
    PushBusy,
    /// A push was refused because the queue was closed.
    PushClosed,
    /// A claim that was given up, or is still held: it never adds an element, but while it is in
    /// flight it may keep pops `Busy`.
    PushAbandoned,
    /// The value was taken. With `ret` [`PENDING`]: it was taken, by a call that did not return.
    Pop(u64),
    /// The queue was empty.
    PopEmpty,
    /// A pop was refused because a push was halfway.
    PopBusy,
    /// The queue was closed and everything in it had been taken.
    PopClosed,
    /// A pop whose answer nobody knows (its thread died, its process was killed): from its call on
    /// it may have taken one element or none. One such event for each element it may have taken.
    PopUnknown,
    /// The queue was closed. Closing twice is allowed.
    Close,
}

impl Op {
    /// Whether this is an operation of the pushing side, whatever it answered.
    pub fn is_push(self) -> bool {
        use Op::*;
        matches!(
            self,
            Push(_) | PushFull | PushBusy | PushClosed | PushAbandoned
        )
    }

    /// Whether this is an operation of the popping side, whatever it answered.
    pub fn is_pop(self) -> bool {
        !self.is_push() && self != Op::Close
    }

    /// Whether an event with this operation may lack a return.
    pub(super) fn may_be_pending(self) -> bool {
        use Op::*;
        matches!(self, Push(_) | PushAbandoned | Pop(_) | PopUnknown | Close)
    }

    /// Whether this operation can be the reason for an opposite `Busy`: one that takes effect, may
    /// do so, or holds a slot meanwhile. A refused call is no reason.
    pub(super) fn holds_up(self) -> bool {
        use Op::*;
        matches!(self, Push(_) | PushAbandoned | Pop(_) | PopUnknown)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Push(v) => write!(f, "push({v})"),
            Op::PushFull => f.write_str("push -> Full"),
            Op::PushBusy => f.write_str("push -> Busy"),
            Op::PushClosed => f.write_str("push -> Closed"),
            Op::PushAbandoned => f.write_str("push, given up"),
            Op::Pop(v) => write!(f, "pop -> {v}"),
            Op::PopEmpty => f.write_str("pop -> Empty"),
            Op::PopBusy => f.write_str("pop -> Busy"),
            Op::PopClosed => f.write_str("pop -> Closed"),
            Op::PopUnknown => f.write_str("pop -> ?"),
            Op::Close => f.write_str("close"),
        }
    }
}

/// One operation of a history: who, what, and between which two stamps.
///
/// Stamps count upwards on one clock that all threads share; the unit does not matter. The
/// operation took effect somewhere in `call..=ret`. An operation counts as finished before another
/// began only where its `ret` is *smaller* than the other's `call`: a coarse clock loses findings,
/// it never causes a false alarm. Stamps are below 2^61, [`PENDING`] aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// A number for the thread, process or task. It only groups batches and labels reports: events
    /// of one thread may overlap (a guard that is held while something else is called).
    pub thread: usize,
    /// The operation and its answer.
    pub op: Op,
    /// Stamp taken before the operation began.
    pub call: u64,
    /// Stamp taken after it had returned, or [`PENDING`].
    pub ret: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let op = self.op.to_string();
        match (self.thread, self.ret) {
            (INITIAL, _) => write!(f, "{op:<16} inside from the start"),
            (t, PENDING) => write!(
                f,
                "{op:<16} thread {t}, called at {}, never returned",
                self.call
            ),
            (t, ret) => write!(
                f,
                "{op:<16} thread {t}, called at {}, returned at {ret}",
                self.call
            ),
        }
    }
}

/// A set of recorded operations, in any order.
///
/// A call that moves several elements is several events with the same thread, `call` and `ret`,
/// and for those the order in the history counts: the pushes of one such call went in in that
/// order, its pops came out in that order (others may have come between). If a later push of a
/// batch took effect, so did the earlier ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    events: Vec<Event>,
}

impl History {
    /// An empty history.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one operation.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// All operations, in the order in which they were added.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The number of operations.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }
}

impl From<Vec<Event>> for History {
    fn from(events: Vec<Event>) -> Self {
        Self { events }
    }
}

impl Extend<Event> for History {
    fn extend<I: IntoIterator<Item = Event>>(&mut self, events: I) {
        self.events.extend(events);
    }
}

impl FromIterator<Event> for History {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> Self {
        Vec::from_iter(events).into()
    }
}
