//! From events to elements: who pushed it, who popped it, and when each of the two can have taken
//! effect. Wrong pairings and wrong closes are found on the way.
//!
//! Every element gets two windows, one for the instant at which it went in and one for the instant
//! at which it came out. The windows are first the intervals of the two calls, and then cut where
//! other facts of the history cut them; no cut loses a possible explanation of the history:
//!
//! - in before out: the push took effect before the pop returned, the pop after the push was called;
//! - a queue is closed once: every accepted push took effect before the first close did, and that
//!   one no later than the first return of a close or of an answer Closed;
//! - pops with unknown answers are given to the elements that were never popped, the earliest to
//!   the earliest. If any assignment explains the history then this one does: what has to come out
//!   before a given instant are the elements that went in first.

use super::history::{Event, INITIAL, Op, PENDING};
use super::sort::sort_by_number;
use super::violation::{Inside, Violation};
use super::{History, Spec};

/// No instant: later than everything.
pub(super) const NEVER: u64 = u64::MAX;
/// By the end of the history: what was taken by a pop that never returned was out by then, and
/// what nobody took was not.
const LAST: u64 = NEVER - 2;
/// No index.
pub(super) const NONE: usize = usize::MAX;

/// The events and the initial elements under one numbering, initial elements first.
///
/// Instants here are even at calls and odd at returns, so that of two equal stamps the call comes
/// first (the operations overlap), and never equal between the two. Initial elements are pushes one
/// after the other before everything else.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input<'a> {
    events: &'a [Event],
    initial: &'a [u64],
}

impl<'a> Input<'a> {
    pub(super) fn new(history: &'a History, spec: &'a Spec) -> Self {
        Self {
            events: history.events(),
            initial: &spec.initial,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.initial.len() + self.events.len()
    }

    pub(super) fn event(&self, i: usize) -> Event {
        match self.initial.get(i) {
            Some(&value) => Event {
                thread: INITIAL,
                op: Op::Push(value),
                call: 0,
                ret: 0,
            },
            None => self.events[i - self.initial.len()],
        }
    }

    /// The instant at which the operation began.
    pub(super) fn enter(&self, i: usize) -> u64 {
        if i < self.initial.len() {
            2 * i as u64
        } else {
            2 * (self.initial.len() as u64 + self.event(i).call)
        }
    }

    /// The instant at which the operation returned, or [`NEVER`].
    pub(super) fn leave(&self, i: usize) -> u64 {
        if i < self.initial.len() {
            2 * i as u64 + 1
        } else {
            match self.event(i).ret {
                PENDING => NEVER,
                ret => 2 * (self.initial.len() as u64 + ret) + 1,
            }
        }
    }

    /// The numbers of the events whose operation is `wanted`.
    pub(super) fn which(
        self,
        wanted: impl Fn(Op) -> bool + 'a,
    ) -> impl Iterator<Item = usize> + 'a {
        (0..self.len()).filter(move |&i| wanted(self.event(i).op))
    }

    /// Stamps that make sense.
    pub(super) fn validate(&self) -> Result<(), Violation> {
        for &event in self.events {
            let wrong = if event.call >= 1 << 61 || (event.ret >= 1 << 61 && event.ret != PENDING) {
                "stamps are below 2^61"
            } else if event.ret < event.call {
                "the return is before the call"
            } else if event.ret == PENDING && !event.op.may_be_pending() {
                "an operation that never returned has no answer (a pop of this kind is PopUnknown)"
            } else {
                continue;
            };
            return Err(Violation::Malformed { event, why: wrong });
        }
        Ok(())
    }
}

/// One element that went in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Element {
    pub(super) push: usize,
    /// The event that took it out, or [`NONE`].
    pub(super) pop: usize,
    /// It went in within `put.0..=put.1`.
    pub(super) put: (u64, u64),
    /// It came out within `take.0..=take.1`; [`NEVER`] twice if it stayed in. The end alone is
    /// `NEVER` if it came out through a pop with unknown answer, if at all.
    pub(super) take: (u64, u64),
    /// The element that one batch call pushed next, or [`NONE`].
    pub(super) next_put: usize,
    /// The element that one batch call popped next, or [`NONE`].
    pub(super) next_take: usize,
}

impl Element {
    pub(super) fn inside(&self, input: &Input<'_>) -> Inside {
        Inside {
            push: input.event(self.push),
            pop: (self.pop != NONE).then(|| input.event(self.pop)),
        }
    }
}

/// Everything the checks need.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) input: Input<'a>,
    pub(super) elements: Vec<Element>,
    /// Call instants of pushes that never returned and whose value never came out: they may have
    /// filled a place or not.
    pub(super) maybe: Vec<u64>,
    /// The number of pops with unknown answers.
    pub(super) unknown: usize,
    /// The queue was closed no later than this.
    closed_by: u64,
}

impl<'a> Table<'a> {
    pub(super) fn build(input: Input<'a>) -> Result<Self, Violation> {
        let mut all = pair(&input)?;
        let mut unknown: Vec<u64> = input
            .which(|op| op == Op::PopUnknown)
            .map(|i| input.enter(i))
            .collect();

        let pushes = all.iter().enumerate();
        let mut pushes = by_call(pushes.map(|(x, e)| (input.enter(e.push), e.push, x)));
        let happened = happened(&input, &all, &mut pushes);

        // What nobody popped and an unknown pop may have taken is left out of the batch order: the
        // assignment of unknown pops below is optimal only among elements ordered by time.
        pushes.retain(|&(_, _, x)| happened[x] && (unknown.is_empty() || all[x].pop != NONE));
        chain(&input, &mut pushes, |x, y| all[x].next_put = y);
        let pops = all.iter().enumerate().filter(|(_, e)| e.pop != NONE);
        let mut pops = by_call(pops.map(|(x, e)| (input.enter(e.pop), e.pop, x)));
        chain(&input, &mut pops, |x, y| all[x].next_take = y);

        let mut table = Self {
            input,
            elements: Vec::new(),
            maybe: Vec::new(),
            unknown: unknown.len(),
            closed_by: NEVER,
        };
        table.keep(&all, &happened);
        table.close()?;
        unknown.sort_unstable();
        table.assign(&unknown);
        Ok(table)
    }

    /// Keeps the elements that went in, and renumbers the batch links.
    fn keep(&mut self, all: &[Element], happened: &[bool]) {
        let mut new = vec![NONE; all.len()];
        let mut count = 0;
        for x in 0..all.len() {
            if happened[x] {
                new[x] = count;
                count += 1;
            } else {
                self.maybe.push(all[x].put.0);
            }
        }
        let link = |old: usize| if old == NONE { NONE } else { new[old] };
        self.elements = (all.iter().zip(happened).filter(|(_, h)| **h))
            .map(|(e, _)| Element {
                next_put: link(e.next_put),
                next_take: link(e.next_take),
                ..*e
            })
            .collect();
    }

    /// When the queue was closed, and that no push was accepted after it.
    fn close(&mut self) -> Result<(), Violation> {
        let input = self.input;
        let first_call = input
            .which(|op| op == Op::Close)
            .min_by_key(|&i| input.enter(i));
        let shown = |op| matches!(op, Op::Close | Op::PushClosed | Op::PopClosed);
        let Some(witness) = input.which(shown).min_by_key(|&i| input.leave(i)) else {
            return Ok(());
        };
        self.closed_by = input.leave(witness);
        let begun = first_call.map_or(NEVER, |i| input.enter(i));
        if begun > self.closed_by {
            let (answer, close) = (input.event(witness), first_call.map(|i| input.event(i)));
            return Err(Violation::ClosedTooEarly { answer, close });
        }
        for e in &mut self.elements {
            if e.put.0 > self.closed_by {
                let (push, closed) = (input.event(e.push), input.event(witness));
                return Err(Violation::AcceptedAfterClose { push, closed });
            }
            e.put.1 = e.put.1.min(self.closed_by);
        }
        Ok(())
    }

    /// Gives pops with unknown answers, sorted by their calls, to elements that nobody popped.
    fn assign(&mut self, unknown: &[u64]) {
        if unknown.is_empty() {
            return;
        }
        let mut left: Vec<&mut Element> =
            self.elements.iter_mut().filter(|e| e.pop == NONE).collect();
        left.sort_unstable_by_key(|e| e.put.1);
        for (e, &call) in left.into_iter().zip(unknown) {
            e.take.0 = call.max(e.put.0);
        }
    }
}

/// Matches pops with pushes by value. The result is in the order of the values.
fn pair(input: &Input<'_>) -> Result<Vec<Element>, Violation> {
    let (mut pushes, mut pops) = (Vec::new(), Vec::new());
    for i in 0..input.len() {
        match input.event(i).op {
            Op::Push(value) => pushes.push((value, i)),
            Op::Pop(value) => pops.push((value, input.leave(i), i)),
            _ => {}
        }
    }
    sort_by_number(&mut pushes);
    sort_by_number(&mut pops);

    if let Some(two) = pushes.windows(2).find(|two| two[0].0 == two[1].0) {
        return Err(Violation::Ambiguous {
            first: input.event(two[0].1),
            second: input.event(two[1].1),
        });
    }

    let mut pops = pops.into_iter().peekable();
    let mut elements = Vec::with_capacity(pushes.len());
    for (value, push) in pushes {
        let mut e = Element {
            push,
            pop: NONE,
            put: (input.enter(push), input.leave(push)),
            take: (NEVER, NEVER),
            next_put: NONE,
            next_take: NONE,
        };
        while let Some((popped, leave, pop)) = pops.next_if(|&(popped, ..)| popped <= value) {
            if popped < value {
                return Err(Violation::NeverPushed {
                    pop: input.event(pop),
                });
            }
            let (push, event) = (input.event(push), input.event(pop));
            if e.pop != NONE {
                return Err(Violation::PoppedTwice {
                    push,
                    first: input.event(e.pop),
                    second: event,
                });
            }
            if leave < e.put.0 {
                return Err(Violation::PoppedBeforePush { push, pop: event });
            }
            e.pop = pop;
            e.put.1 = e.put.1.min(leave);
            e.take = (input.enter(pop).max(e.put.0), leave.min(LAST));
        }
        elements.push(e);
    }
    match pops.next() {
        Some((_, _, pop)) => Err(Violation::NeverPushed {
            pop: input.event(pop),
        }),
        None => Ok(elements),
    }
}

/// Call instant, event and element: sorted, the members of one batch stand close together.
type Member = (u64, usize, usize);

/// The members of possible batches, sorted by their calls: none if no two began at one instant,
/// which is found out by sorting the instants alone, a third of the memory.
fn by_call(members: impl Iterator<Item = Member> + Clone) -> Vec<Member> {
    let mut calls: Vec<u64> = members.clone().map(|member| member.0).collect();
    sort_by_number(&mut calls);
    if calls.windows(2).all(|two| two[0] < two[1]) {
        return Vec::new();
    }
    let mut members: Vec<Member> = members.collect();
    sort_by_number(&mut members);
    members
}

/// Calls `link` for every two neighbours of a batch. `sorted` is sorted by call instant.
pub(super) fn chain(input: &Input<'_>, sorted: &mut [Member], mut link: impl FnMut(usize, usize)) {
    for run in sorted.chunk_by_mut(|a, b| a.0 == b.0) {
        if run.len() < 2 {
            continue;
        }
        let batch = |m: &Member| (input.event(m.1).thread, input.leave(m.1));
        run.sort_unstable_by_key(|m| (batch(m), m.1));
        for two in run.windows(2) {
            if batch(&two[0]) == batch(&two[1]) {
                link(two[0].2, two[1].2);
            }
        }
    }
}

/// Which pushes took effect: those that returned, those whose value came out, and those before
/// such a one in their batch. The others may have or not; without them fewer elements need to be
/// explained, so they count only where places are counted.
fn happened(input: &Input<'_>, all: &[Element], pushes: &mut [Member]) -> Vec<bool> {
    let mut happened: Vec<bool> = all
        .iter()
        .map(|e| e.pop != NONE || input.leave(e.push) != NEVER)
        .collect();
    let mut links = Vec::new();
    chain(input, pushes, |x, y| links.push((x, y)));
    for &(x, y) in links.iter().rev() {
        happened[x] |= happened[y];
    }
    happened
}
