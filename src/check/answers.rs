//! The answers that move nothing: Empty, Full, Busy, Closed, each against what was certainly or
//! possibly inside.

use super::history::Op;
use super::sort::{Numbered, sort_by_number};
use super::table::{Element, NEVER, NONE, Table};
use super::violation::Violation;

/// From just after `begin` to just before `end` the element was certainly inside.
#[derive(Debug, Clone, Copy)]
struct Certain {
    begin: u64,
    end: u64,
    element: usize,
}

impl Numbered for Certain {
    fn number(&self) -> u64 {
        self.begin
    }
}

/// When each element was certainly inside, by begin.
///
/// `order` is an order of the elements. An element that stands before another in a batch went in
/// no later than that one, and so must have gone in when that one had; the same holds for what
/// stands before it in a batch of pops. (For elements ordered by time alone this adds nothing.)
fn certain(elements: &[Element], order: &[usize]) -> Vec<Certain> {
    let mut in_by: Vec<u64> = elements.iter().map(|e| e.put.1).collect();
    for &x in order.iter().rev() {
        for next in [elements[x].next_put, elements[x].next_take] {
            if next != NONE {
                in_by[x] = in_by[x].min(in_by[next]);
            }
        }
    }
    let mut spans: Vec<Certain> = (elements.iter().enumerate())
        .map(|(element, e)| Certain {
            begin: in_by[element],
            end: e.take.0,
            element,
        })
        .filter(|span| span.begin < span.end)
        .collect();
    sort_by_number(&mut spans);
    spans
}

/// The facts about occupancy that the answers are held against.
#[derive(Debug)]
pub(super) struct Occupancy<'t, 'a> {
    table: &'t Table<'a>,
    certain: Vec<Certain>,
}

impl<'t, 'a> Occupancy<'t, 'a> {
    pub(super) fn new(table: &'t Table<'a>, order: &[usize]) -> Self {
        Self {
            table,
            certain: certain(&table.elements, order),
        }
    }

    /// Empty is wrong if the stretches of certainly-not-empty, merged, cover the whole call.
    ///
    /// For unbounded queues this is exact: at an instant that no stretch covers, everything that
    /// had to be in by then could be out by then, so the history can be cut there.
    pub(super) fn empties(&self) -> Result<(), Violation> {
        let mut pieces: Vec<(u64, u64)> = Vec::new();
        for span in &self.certain {
            match pieces.last_mut() {
                // Begins are odd and ends even, so two stretches overlap or leave an instant.
                Some(piece) if span.begin < piece.1 => piece.1 = piece.1.max(span.end),
                _ => pieces.push((span.begin, span.end)),
            }
        }
        let input = self.table.input;
        for i in input.which(|op| op == Op::PopEmpty) {
            let (from, to) = (input.enter(i), input.leave(i));
            let piece = pieces
                .partition_point(|&(begin, _)| begin < from)
                .checked_sub(1);
            if piece.is_some_and(|p| pieces[p].1 > to) {
                let inside = self.cover(from, to);
                return Err(Violation::FalseEmpty {
                    empty: input.event(i),
                    inside,
                });
            }
        }
        Ok(())
    }

    /// The fewest elements whose stretches cover `from..=to`, which are known to.
    fn cover(&self, from: u64, to: u64) -> Vec<super::Inside> {
        let mut chosen = Vec::new();
        let (mut reached, mut spans) = (from, self.certain.iter().peekable());
        while reached <= to {
            let mut best: Option<&Certain> = None;
            while let Some(span) = spans.next_if(|span| span.begin < reached) {
                if best.is_none_or(|b| b.end < span.end) {
                    best = Some(span);
                }
            }
            let Some(best) = best.filter(|b| b.end > reached) else {
                break;
            };
            chosen.push(self.table.elements[best.element].inside(&self.table.input));
            reached = best.end;
        }
        chosen
    }

    /// A pop answers Closed when nothing will come out any more: every accepted push took effect
    /// before the close did, so everything must have been out when the answer returned.
    pub(super) fn closed(&self) -> Result<(), Violation> {
        let input = self.table.input;
        let Some(last) = self.table.elements.iter().max_by_key(|e| e.take.0) else {
            return Ok(());
        };
        match input
            .which(|op| op == Op::PopClosed)
            .find(|&i| input.leave(i) < last.take.0)
        {
            Some(i) => Err(Violation::ClosedWithItems {
                answer: input.event(i),
                inside: last.inside(&input),
            }),
            None => Ok(()),
        }
    }

    /// The most elements that were certainly inside at once. Wrong if they do not fit.
    pub(super) fn capacity(&self, capacity: Option<usize>) -> Result<usize, Violation> {
        let mut ends: Vec<u64> = self.certain.iter().map(|span| span.end).collect();
        sort_by_number(&mut ends);
        let (mut gone, mut most) = (0, 0);
        for (begun, span) in self.certain.iter().enumerate() {
            while ends[gone] < span.begin {
                gone += 1;
            }
            most = most.max(begun + 1 - gone);
            if let Some(capacity) = capacity.filter(|&c| c < most) {
                let inside = (self.certain[..=begun].iter())
                    .filter(|other| other.end > span.begin)
                    .map(|other| self.table.elements[other.element].inside(&self.table.input))
                    .collect();
                return Err(Violation::OverCapacity { capacity, inside });
            }
        }
        Ok(most)
    }

    /// Full is wrong if at every instant of the call even the largest possible number of elements
    /// is below the capacity.
    ///
    /// Sound, not exact: each element is taken to be inside for as long as its own windows allow,
    /// and a single order of the elements may not allow all of that at once.
    pub(super) fn fulls(&self, capacity: Option<usize>) -> Result<(), Violation> {
        let input = self.table.input;
        let mut fulls = input.which(|op| op == Op::PushFull).peekable();
        let Some(&first) = fulls.peek() else {
            return Ok(());
        };
        let Some(capacity) = capacity else {
            return Err(Violation::FalseFull {
                full: input.event(first),
                capacity: None,
                most: 0,
            });
        };

        let elements = &self.table.elements;
        let mut begins: Vec<u64> = elements
            .iter()
            .map(|e| e.put.0)
            .chain(self.table.maybe.iter().copied())
            .collect();
        let mut ends: Vec<u64> = elements
            .iter()
            .map(|e| e.take.1)
            .filter(|&end| end != NEVER)
            .collect();
        sort_by_number(&mut begins);
        sort_by_number(&mut ends);

        // Stretches during which the queue can have been full, both ends included.
        let mut spans: Vec<(u64, u64)> = Vec::new();
        if capacity == 0 {
            spans.push((0, NEVER));
        } else {
            let mut gone = 0;
            for (i, &begin) in begins.iter().enumerate() {
                while ends.get(gone).is_some_and(|&end| end < begin) {
                    gone += 1;
                }
                // Places are full from this begin on until so many have gone that one is free.
                let full = i + 1;
                if full - gone >= capacity {
                    let until = ends.get(full - capacity).copied().unwrap_or(NEVER);
                    match spans.last_mut() {
                        Some(span) if begin <= span.1 => span.1 = span.1.max(until),
                        _ => spans.push((begin, until)),
                    }
                }
            }
        }

        for i in fulls {
            let (from, to) = (input.enter(i), input.leave(i));
            let span = spans.partition_point(|&(_, end)| end < from);
            if spans.get(span).is_none_or(|&(begin, _)| begin > to) {
                let most = most_within(&begins, &ends, from, to);
                return Err(Violation::FalseFull {
                    full: input.event(i),
                    capacity: Some(capacity),
                    most,
                });
            }
        }
        Ok(())
    }
}

/// The largest number of elements possibly inside at an instant of `from..=to`.
fn most_within(begins: &[u64], ends: &[u64], from: u64, to: u64) -> usize {
    let at = |t: u64| begins.partition_point(|&b| b <= t) - ends.partition_point(|&e| e < t);
    let risen = begins.iter().copied().filter(|&b| (from..=to).contains(&b));
    risen.chain([from]).map(at).max().unwrap_or(0)
}

/// Busy is wrong unless an opposite operation that took effect, may have taken effect or held a
/// slot was in flight at some instant of the call.
pub(super) fn busies(table: &Table<'_>) -> Result<(), Violation> {
    let input = table.input;
    for busy in [Op::PushBusy, Op::PopBusy] {
        if input.which(|op| op == busy).next().is_none() {
            continue;
        }
        let opposite = move |op: Op| op.holds_up() && op.is_push() != busy.is_push();
        let mut calls: Vec<(u64, u64)> = input
            .which(opposite)
            .map(|i| (input.enter(i), input.leave(i)))
            .collect();
        sort_by_number(&mut calls);
        // The latest return among all calls that began so far.
        let mut latest = 0;
        for call in &mut calls {
            latest = latest.max(call.1);
            call.1 = latest;
        }
        for i in input.which(|op| op == busy) {
            let begun = calls.partition_point(|&(enter, _)| enter < input.leave(i));
            if begun == 0 || calls[begun - 1].1 < input.enter(i) {
                return Err(Violation::UnjustifiedBusy {
                    busy: input.event(i),
                });
            }
        }
    }
    Ok(())
}
