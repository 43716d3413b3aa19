//! What went wrong, in one sentence for people who have not read the documentation.

use super::history::{Event, INITIAL, Op};
use super::violation::{Inside, Violation};

/// How values and threads are called in sentences and pictures: by their numbers, unless said
/// otherwise.
///
/// ```
/// use turtle_buffers::check::Names;
///
/// let names = Names { value: &|v| format!("job-{v}"), ..Names::default() };
/// assert_eq!((names.value)(7), "job-7");
/// ```
#[derive(Clone, Copy)]
pub struct Names<'a> {
    /// The name of an element.
    pub value: &'a dyn Fn(u64) -> String,
    /// The name of a thread, such as `thread 2`.
    pub thread: &'a dyn Fn(usize) -> String,
}

impl Default for Names<'_> {
    fn default() -> Self {
        Self {
            value: &|value| value.to_string(),
            thread: &|thread| format!("thread {thread}"),
        }
    }
}

impl std::fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Violation {
    /// What is wrong, in a sentence or two: for the head of a picture, or for a log.
    /// ([`Display`](std::fmt::Display) tells it with all stamps, in several lines.)
    ///
    /// ```
    /// # use turtle_buffers::check::{Event, History, Names, Op::*, Spec, check};
    /// # let event = |thread, op, call, ret| Event { thread, op, call, ret };
    /// let history: History = [event(0, Push(1), 0, 1), event(1, PopEmpty, 2, 3)].into_iter().collect();
    /// let violation = check(&history, &Spec::unbounded()).unwrap_err();
    /// assert_eq!(
    ///     violation.sentence(&Names::default()),
    ///     "A pop of thread 1 answered Empty, but 1 was inside during the whole call."
    /// );
    /// ```
    pub fn sentence(&self, names: &Names<'_>) -> String {
        use Violation::*;
        let who = |event: &Event| match event.thread {
            INITIAL => "(from the start)".to_owned(),
            thread => (names.thread)(thread),
        };
        let value = |event: &Event| match event.op {
            Op::Push(value) | Op::Pop(value) => (names.value)(value),
            _ => String::new(),
        };
        let side = |event: &Event| if event.op.is_push() { "push" } else { "pop" };
        match self {
            Malformed { event, why } => {
                format!("A line of {} makes no sense: {why}.", who(event))
            }
            Ambiguous { first, .. } => format!(
                "The value {} was pushed twice, so nobody can tell its pops apart.",
                value(first)
            ),
            NeverPushed { pop } => {
                format!(
                    "A pop of {} returned {}, which nobody pushed.",
                    who(pop),
                    value(pop)
                )
            }
            PoppedBeforePush { pop, .. } => format!(
                "A pop of {} had returned {} before the push of it was called.",
                who(pop),
                value(pop)
            ),
            PoppedTwice { first, second, .. } if first.thread == second.thread => {
                format!(
                    "{} came out twice, both times to {}.",
                    value(first),
                    who(first)
                )
            }
            PoppedTwice { first, second, .. } => format!(
                "{} came out twice, to {} and to {}.",
                value(first),
                who(first),
                who(second)
            ),
            Lost { push, lost: 1 } => format!(
                "{} went in and never came out, though the queue was drained.",
                value(push)
            ),
            Lost { push, lost } => format!(
                "{lost} elements, {} among them, went in and never came out, though the queue was drained.",
                value(push)
            ),
            OrderInversion { first, second } => {
                let (a, b) = (value(&first.push), value(&second.push));
                let end = match &first.pop {
                    Some(_) => format!("{b} came out before {a}"),
                    None => format!("{b} came out and {a} never did"),
                };
                format!("{a} went in before {b}, but {end}.")
            }
            OrderCycle { elements } => {
                let list = list(elements.iter().map(|one| value(&one.push)));
                format!("No order of {list} agrees with all their pushes, pops and batches.")
            }
            FalseEmpty { empty, inside } => format!(
                "A pop of {} answered Empty, but {} during the whole call.",
                who(empty),
                match &inside[..] {
                    [one] => format!("{} was inside", value(&one.push)),
                    many => format!(
                        "one of {} was inside at each instant",
                        list(many.iter().map(|one| value(&one.push)))
                    ),
                }
            ),
            FalseFull {
                full,
                capacity: None,
                ..
            } => format!(
                "A push of {} answered Full, but the queue has no limit.",
                who(full)
            ),
            FalseFull {
                full,
                capacity: Some(capacity),
                most,
            } => format!(
                "A push of {} answered Full, but of {capacity} places at most {most} can have been \
                 taken at any instant of the call.",
                who(full)
            ),
            OverCapacity { capacity, inside } => format!(
                "{} elements were inside at one instant, and the capacity is {capacity}: {}.",
                inside.len(),
                list(inside.iter().map(|one: &Inside| value(&one.push)))
            ),
            UnjustifiedBusy { busy } => format!(
                "A {} of {} answered Busy, but no {} was in flight that could have been in its way.",
                side(busy),
                who(busy),
                if busy.op.is_push() { "pop" } else { "push" }
            ),
            ClosedTooEarly {
                answer,
                close: Some(_),
            } => format!(
                "A {} of {} answered Closed and had returned before the queue was closed.",
                side(answer),
                who(answer)
            ),
            ClosedTooEarly {
                answer,
                close: None,
            } => format!(
                "A {} of {} answered Closed, but nobody ever closed the queue.",
                side(answer),
                who(answer)
            ),
            AcceptedAfterClose { push, .. } => format!(
                "The push of {} by {} was accepted, but the queue had been closed before it was called.",
                value(push),
                who(push)
            ),
            ClosedWithItems { answer, inside } => format!(
                "A pop of {} answered Closed while {} was still inside.",
                who(answer),
                value(&inside.push)
            ),
        }
    }
}

/// "1, 2 and 3"; of many the first few.
fn list(names: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 6;
    let all: Vec<String> = names.collect();
    match &all[..] {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [few @ .., last] if all.len() <= SHOWN => format!("{} and {last}", few.join(", ")),
        many => format!(
            "{} and {} more",
            many[..SHOWN - 1].join(", "),
            many.len() - SHOWN + 1
        ),
    }
}
