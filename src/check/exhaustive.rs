//! Trying all orders: slow, short, and obviously right. The yardstick for the fast checker.

use std::collections::{HashSet, VecDeque};
use std::fmt;

use super::history::{Event, Op};
use super::table::{Input, NEVER};
use super::{History, Spec};

/// Why [`exhaustive`] did not explain a history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unexplained {
    /// No order of the operations agrees with the sequential queue.
    NoOrder,
    /// The history has more than 64 events; the search was not tried.
    TooLong {
        /// How many it has.
        events: usize,
    },
}

impl fmt::Display for Unexplained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unexplained::NoOrder => {
                f.write_str("no order of the operations agrees with a sequential queue")
            }
            Unexplained::TooLong { events } => {
                write!(f, "{events} events; the exhaustive search takes 64 at most")
            }
        }
    }
}

impl std::error::Error for Unexplained {}

/// Searches for an order of the operations that a sequential queue could have executed one by one,
/// each at an instant between its call and its return, and returns one if there is any.
///
/// This is the search of Wing and Gong with Lowe's memory of configurations already tried. Its
/// time is exponential in the number of operations that overlap: it is for histories of up to
/// about 20 events, and to judge [`check`](super::check) by. It needs no distinct values.
///
/// The sequential queue has the elements in order and a mark `closed`:
///
/// | operation | possible when |
/// |---|---|
/// | `Push(v)` | not closed and below capacity |
/// | `PushFull` | exactly at capacity (closed or not) |
/// | `PushClosed` | closed |
/// | `Pop(v)` | `v` is the oldest element |
/// | `PopEmpty` | nothing inside (closed or not) |
/// | `PopClosed` | closed and nothing inside |
/// | `PopUnknown` | left out, or: something inside, the oldest goes |
/// | `Close` | always |
/// | `PushAbandoned` | never takes effect |
/// | `PushBusy`, `PopBusy` | an opposite operation overlaps (not a matter of order, checked beforehand) |
///
/// Pending pushes and closes may be left out; the order inside batches is as [`History`] says.
/// Malformed events give [`Unexplained::NoOrder`].
pub fn exhaustive(history: &History, spec: &Spec) -> Result<Vec<Event>, Unexplained> {
    if history.len() > 64 {
        return Err(Unexplained::TooLong {
            events: history.len(),
        });
    }
    let spec_without_initial = Spec {
        initial: Vec::new(),
        ..spec.clone()
    };
    let input = Input::new(history, &spec_without_initial);
    let fits = spec.capacity.is_none_or(|c| spec.initial.len() <= c);
    if input.validate().is_err() || !busy_is_justified(&input) || !fits {
        return Err(Unexplained::NoOrder);
    }

    let steps: Vec<Step> = (0..input.len()).map(|i| Step::new(&input, i)).collect();
    let mut search = Search {
        must: steps
            .iter()
            .enumerate()
            .filter(|(_, s)| s.required)
            .map(|(i, _)| 1 << i)
            .sum(),
        steps,
        capacity: spec.capacity.unwrap_or(usize::MAX),
        drained: spec.drained,
        seen: HashSet::new(),
        order: Vec::new(),
    };
    let queue = VecDeque::from(spec.initial.clone());
    match search.extend(0, &queue, false) {
        true => Ok(search.order.iter().map(|&i| input.event(i)).collect()),
        false => Err(Unexplained::NoOrder),
    }
}

/// Straight from the definition.
fn busy_is_justified(input: &Input<'_>) -> bool {
    input
        .which(|op| matches!(op, Op::PushBusy | Op::PopBusy))
        .all(|busy| {
            input.which(Op::holds_up).any(|other| {
                input.event(other).op.is_push() != input.event(busy).op.is_push()
                    && input.enter(other) < input.leave(busy)
                    && input.enter(busy) < input.leave(other)
            })
        })
}

struct Step {
    op: Op,
    enter: u64,
    leave: u64,
    /// Whether it must be in the order; else it may be left out.
    required: bool,
    /// Operations of its batch that must have been taken before.
    before: u64,
}

impl Step {
    fn new(input: &Input<'_>, i: usize) -> Self {
        let event = input.event(i);
        let is_mate = |j: &usize| {
            let other = input.event(*j);
            matches!(
                (event.op, other.op),
                (Op::Push(_), Op::Push(_)) | (Op::Pop(_), Op::Pop(_))
            ) && (event.thread, event.call, event.ret) == (other.thread, other.call, other.ret)
        };
        let optional = match event.op {
            Op::PopUnknown => true,
            Op::Push(_) | Op::Close => input.leave(i) == NEVER,
            Op::PushBusy | Op::PopBusy | Op::PushAbandoned => true,
            _ => false,
        };
        Self {
            op: event.op,
            enter: input.enter(i),
            // Nobody knows until when an unknown pop was at work.
            leave: if optional { NEVER } else { input.leave(i) },
            required: !optional,
            before: (0..i).filter(is_mate).map(|j| 1 << j).sum(),
        }
    }
}

struct Search {
    steps: Vec<Step>,
    must: u64,
    capacity: usize,
    drained: bool,
    /// Configurations from which no explanation was found.
    seen: HashSet<(u64, VecDeque<u64>, bool)>,
    order: Vec<usize>,
}

impl Search {
    /// Extends the order by one more operation than those in `taken`, until all are in.
    fn extend(&mut self, taken: u64, queue: &VecDeque<u64>, closed: bool) -> bool {
        if taken & self.must == self.must && (queue.is_empty() || !self.drained) {
            return true;
        }
        if !self.seen.insert((taken, queue.clone(), closed)) {
            return false;
        }
        let is_left = |i: usize| taken & (1 << i) == 0;
        let left = (0..self.steps.len()).filter(|&i| is_left(i));
        // The next operation took effect before any that is left returned.
        let deadline = left
            .clone()
            .map(|i| self.steps[i].leave)
            .min()
            .unwrap_or(NEVER);
        let candidates: Vec<usize> = left.filter(|&i| self.steps[i].enter < deadline).collect();
        for i in candidates {
            let step = &self.steps[i];
            if taken & step.before != step.before {
                continue;
            }
            let Some((next, now_closed)) = self.apply(step.op, queue, closed) else {
                continue;
            };
            self.order.push(i);
            if self.extend(taken | 1 << i, &next, now_closed) {
                return true;
            }
            self.order.pop();
        }
        false
    }

    /// The sequential queue: its next state, or `None` if this operation is impossible now.
    fn apply(&self, op: Op, queue: &VecDeque<u64>, closed: bool) -> Option<(VecDeque<u64>, bool)> {
        let mut next = queue.clone();
        let possible = match op {
            Op::Push(value) => {
                next.push_back(value);
                !closed && queue.len() < self.capacity
            }
            Op::PushFull => queue.len() == self.capacity,
            Op::PushClosed => closed,
            Op::Pop(value) => next.pop_front() == Some(value),
            Op::PopUnknown => next.pop_front().is_some(),
            Op::PopEmpty => queue.is_empty(),
            Op::PopClosed => closed && queue.is_empty(),
            Op::Close => true,
            // Justified already, and without effect.
            Op::PushBusy | Op::PopBusy | Op::PushAbandoned => false,
        };
        possible.then_some((next, closed || op == Op::Close))
    }
}
