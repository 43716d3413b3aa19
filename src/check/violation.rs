//! What can be wrong with a history, and how it is told.

use std::fmt;

use super::history::Event;

/// An element that was certainly inside the queue for a while: from the return of its push to the
/// call of its pop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inside {
    /// The push that put it in.
    pub push: Event,
    /// The pop that took it, if any did.
    pub pop: Option<Event>,
}

/// Why a history is wrong, with the events that show it.
///
/// `Display` tells it in several lines: the finding, the events, and what to conclude.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {
    /// The history itself makes no sense (a return before its call, a pending answer).
    Malformed {
        /// The event that makes no sense.
        event: Event,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A value was pushed twice, so a pop of it could belong to either push. This is a fault of
    /// the recording, not of the queue: number the elements.
    Ambiguous {
        /// One push.
        first: Event,
        /// The other.
        second: Event,
    },
    /// A pop returned a value that nobody pushed.
    NeverPushed {
        /// The pop.
        pop: Event,
    },
    /// A pop returned a value before the push of it was called.
    PoppedBeforePush {
        /// The push.
        push: Event,
        /// The pop that came too early.
        pop: Event,
    },
    /// One element came out twice.
    PoppedTwice {
        /// Its push.
        push: Event,
        /// One pop of it.
        first: Event,
        /// The other.
        second: Event,
    },
    /// With [`Spec::drained`](super::Spec::drained): an element went in and never came out.
    Lost {
        /// One of the lost ones.
        push: Event,
        /// How many were lost, pops with unknown answers already taken off.
        lost: usize,
    },
    /// Two elements came out in the wrong order, or the first never came out and the second did.
    OrderInversion {
        /// The element that was completely pushed before the push of `second` began.
        first: Inside,
        /// The element that was completely popped before the pop of `first` began.
        second: Inside,
    },
    /// No order of the elements agrees with all pushes and pops, but no two elements alone show
    /// it. Happens only with batches: each of these had to go before the next, and the last before
    /// the first.
    OrderCycle {
        /// The elements of the circle.
        elements: Vec<Inside>,
    },
    /// A pop answered Empty while the queue held something at every instant of the call.
    FalseEmpty {
        /// The pop.
        empty: Event,
        /// Elements that together were inside during the whole call, in time order.
        inside: Vec<Inside>,
    },
    /// A push answered Full while the queue could not have been full at any instant of the call.
    FalseFull {
        /// The push.
        full: Event,
        /// The capacity; `None` if the queue was said to be unbounded.
        capacity: Option<usize>,
        /// The most elements that can have been inside at any instant of the call.
        most: usize,
    },
    /// More elements were inside at one instant than fit.
    OverCapacity {
        /// The capacity.
        capacity: usize,
        /// Elements that were all inside at that instant, one more than fit.
        inside: Vec<Inside>,
    },
    /// An operation answered Busy though no opposite one was in flight at any time of the call.
    UnjustifiedBusy {
        /// The operation that answered Busy.
        busy: Event,
    },
    /// An operation answered Closed and had returned before anyone began to close the queue.
    ClosedTooEarly {
        /// The operation that answered Closed.
        answer: Event,
        /// The earliest close, if there was one.
        close: Option<Event>,
    },
    /// A push was accepted that began when the queue was surely closed.
    AcceptedAfterClose {
        /// The accepted push.
        push: Event,
        /// A close, or an answer Closed, that had returned before.
        closed: Event,
    },
    /// A pop answered Closed while an accepted element was still to be popped.
    ClosedWithItems {
        /// The pop that answered Closed.
        answer: Event,
        /// The element that was still inside when it returned.
        inside: Inside,
    },
}

impl Violation {
    /// A word for the kind of error, for programs and tables: `"false-empty"`, `"order-inversion"`.
    pub fn kind(&self) -> &'static str {
        use Violation::*;
        match self {
            Malformed { .. } => "malformed",
            Ambiguous { .. } => "ambiguous",
            NeverPushed { .. } => "never-pushed",
            PoppedBeforePush { .. } => "popped-before-push",
            PoppedTwice { .. } => "popped-twice",
            Lost { .. } => "lost",
            OrderInversion { .. } => "order-inversion",
            OrderCycle { .. } => "order-cycle",
            FalseEmpty { .. } => "false-empty",
            FalseFull { .. } => "false-full",
            OverCapacity { .. } => "over-capacity",
            UnjustifiedBusy { .. } => "unjustified-busy",
            ClosedTooEarly { .. } => "closed-too-early",
            AcceptedAfterClose { .. } => "accepted-after-close",
            ClosedWithItems { .. } => "closed-with-items",
        }
    }

    /// Whether the recording is to blame, and nothing is said about the queue.
    pub fn is_fault_of_recording(&self) -> bool {
        matches!(
            self,
            Violation::Malformed { .. } | Violation::Ambiguous { .. }
        )
    }

    /// The operations that this violation names, each once. Those of initial elements have
    /// [`INITIAL`](super::INITIAL) as their thread.
    pub fn events(&self) -> Vec<Event> {
        use Violation::*;
        let mut events: Vec<Event> = match self {
            Malformed { event, .. } => vec![*event],
            Ambiguous { first, second } => vec![*first, *second],
            NeverPushed { pop } => vec![*pop],
            PoppedBeforePush { push, pop } => vec![*push, *pop],
            PoppedTwice {
                push,
                first,
                second,
            } => vec![*push, *first, *second],
            Lost { push, .. } => vec![*push],
            FalseEmpty { empty, .. } => vec![*empty],
            FalseFull { full, .. } => vec![*full],
            UnjustifiedBusy { busy } => vec![*busy],
            ClosedTooEarly { answer, close } => {
                [Some(*answer), *close].into_iter().flatten().collect()
            }
            AcceptedAfterClose { push, closed } => vec![*push, *closed],
            ClosedWithItems { answer, .. } => vec![*answer],
            OrderInversion { .. } | OrderCycle { .. } | OverCapacity { .. } => Vec::new(),
        };
        for one in self.inside() {
            events.extend([Some(one.push), one.pop].into_iter().flatten());
        }
        events
    }

    /// The elements of which this violation says when they were inside, in its order.
    pub fn inside(&self) -> Vec<Inside> {
        match self {
            Violation::OrderInversion { first, second } => vec![*first, *second],
            Violation::OrderCycle { elements: inside }
            | Violation::FalseEmpty { inside, .. }
            | Violation::OverCapacity { inside, .. } => inside.clone(),
            Violation::ClosedWithItems { inside, .. } => vec![*inside],
            _ => Vec::new(),
        }
    }

    /// The operation to look at first: the one that should have gone otherwise. (Sometimes another
    /// is as much to blame. A circle has none.)
    pub fn culprit(&self) -> Option<Event> {
        use Violation::*;
        match self {
            Malformed { event, .. } => Some(*event),
            Ambiguous { second, .. } => Some(*second),
            NeverPushed { pop } | PoppedBeforePush { pop, .. } => Some(*pop),
            PoppedTwice { second, .. } => Some(*second),
            Lost { push, .. } | AcceptedAfterClose { push, .. } => Some(*push),
            OrderInversion { second, .. } => second.pop,
            OrderCycle { .. } => None,
            FalseEmpty { empty, .. } => Some(*empty),
            FalseFull { full, .. } => Some(*full),
            OverCapacity { inside, .. } => inside
                .iter()
                .map(|one| one.push)
                .max_by_key(|push| (push.thread != super::INITIAL, push.call)),
            UnjustifiedBusy { busy } => Some(*busy),
            ClosedTooEarly { answer, .. } | ClosedWithItems { answer, .. } => Some(*answer),
        }
    }
}

/// The longest list of elements that is printed in full.
const SHOWN: usize = 8;

fn elements(f: &mut fmt::Formatter<'_>, list: &[Inside]) -> fmt::Result {
    for one in list.iter().take(SHOWN) {
        write!(f, "\n{one}")?;
    }
    match list.len().saturating_sub(SHOWN) {
        0 => Ok(()),
        more => write!(f, "\n  ... and {more} more"),
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  {}", self.push)?;
        match &self.pop {
            Some(pop) => write!(f, "  {pop}"),
            None => f.write_str("  (never popped)"),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use Violation::*;
        match self {
            Malformed { event, why } => write!(f, "malformed history: {why}\n  {event}"),
            Ambiguous { first, second } => write!(
                f,
                "ambiguous history: a value was pushed twice\n  {first}\n  {second}\n\
                 The checker tells elements apart by their values: push each value once."
            ),
            NeverPushed { pop } => write!(
                f,
                "a value came out that never went in\n  {pop}\n\
                 Torn or stale data, or a push that was not recorded."
            ),
            PoppedBeforePush { push, pop } => write!(
                f,
                "a value came out before it went in\n  {pop}\n  {push}\n\
                 The pop had returned before the push was called."
            ),
            PoppedTwice {
                push,
                first,
                second,
            } => {
                write!(
                    f,
                    "an element came out twice\n  {push}\n  {first}\n  {second}"
                )
            }
            Lost { push, lost } => write!(
                f,
                "{lost} element(s) went in and never came out, though the queue was drained\n  {push}\n\
                 No pop returned it, and pops with unknown answers do not account for it."
            ),
            OrderInversion { first, second } => write!(
                f,
                "first in, first out is broken\n{first}\n{second}\n\
                 The first push had returned before the second was called, so its element had to \
                 come out first;\n{}",
                match first.pop {
                    Some(_) =>
                        "but the second element's pop had returned before the first's was called.",
                    None => "but the second element came out and the first never did.",
                }
            ),
            OrderCycle { elements: list } => {
                f.write_str("no order of these elements agrees with all pushes and pops")?;
                elements(f, list)?;
                f.write_str(
                    "\nEach had to pass before the next, the last before the first: its push or its pop had \
                     returned before the next one's was called,\nor both are in one batch in this order.",
                )
            }
            FalseEmpty { empty, inside } => {
                write!(
                    f,
                    "a pop answered Empty though the queue was never empty during the call\n  {empty}"
                )?;
                elements(f, inside)?;
                f.write_str(
                    "\nEach of these was in once its push had returned (or before: once the queue was closed, or an element was in\n\
                     that followed it in a batch) and out no earlier than the call of its pop; together they cover the call.",
                )
            }
            FalseFull {
                full,
                capacity: None,
                ..
            } => {
                write!(
                    f,
                    "a push answered Full, but the queue is said to be unbounded\n  {full}"
                )
            }
            FalseFull {
                full,
                capacity: Some(capacity),
                most,
            } => write!(
                f,
                "a push answered Full though the queue was never full during the call\n  {full}\n\
                 Capacity {capacity}; at no instant of the call can more than {most} have been inside, \
                 even if every\noverlapping push came early and every overlapping pop late."
            ),
            OverCapacity { capacity, inside } => {
                write!(
                    f,
                    "more than {capacity} element(s), the capacity, were inside at one instant"
                )?;
                elements(f, inside)?;
                f.write_str("\nThe last of these pushes returned before the first of these pops was called.")
            }
            UnjustifiedBusy { busy } => write!(
                f,
                "an answer Busy without a reason\n  {busy}\n\
                 No {} that succeeded, or never returned, was in flight at any time of this call.",
                if busy.op.is_push() { "pop" } else { "push" }
            ),
            ClosedTooEarly { answer, close } => {
                write!(
                    f,
                    "an operation answered Closed before anyone closed the queue\n  {answer}\n  "
                )?;
                match close {
                    Some(close) => write!(f, "{close}   (the earliest)"),
                    None => f.write_str("(nobody ever closed it)"),
                }
            }
            AcceptedAfterClose { push, closed } => write!(
                f,
                "a push was accepted after the queue was closed\n  {closed}\n  {push}\n\
                 The push was called after the other operation had returned."
            ),
            ClosedWithItems { answer, inside } => write!(
                f,
                "a pop answered Closed while an accepted element was still inside\n  {answer}\n{inside}\n\
                 Closed means that nothing will ever come out again."
            ),
        }
    }
}

impl std::error::Error for Violation {}
