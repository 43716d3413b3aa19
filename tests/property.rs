//! Random sequences of calls on one thread, against a model that is a double-ended queue.
//!
//! Shows: the answers of every call in every order, for every engine and small capacities.
//! Cannot show: anything about more than one thread.

mod support;

use std::collections::VecDeque;

use proptest::prelude::*;
use proptest::strategy::Strategy as _;
use turtle_buffers::erased::{DynRing, Outcome, open};
use turtle_buffers::{
    Batch, Claim, Options, Peek, PopError, PushError, Ring, RingBuffer, Strategy, TryPopError,
    TryPushError,
};

#[derive(Clone, Debug)]
enum Call {
    TryPush,
    PushNow,
    PushBatch(usize),
    /// Gives this many of so many that it says.
    ShortBatch(usize, usize),
    Claim {
        commit: bool,
    },
    TryPop,
    PopNow,
    PopBatch(usize),
    Peek {
        take: bool,
    },
    /// Pops, pushes or closes while a claim is out.
    Within(Box<Call>, bool),
    Close,
    NewHandles,
}

/// Of engines that are helped; 0: every call is announced.
fn patiences() -> impl proptest::strategy::Strategy<Value = Option<u32>> {
    prop_oneof![Just(None), Just(Some(0)), Just(Some(1))]
}

fn calls() -> impl proptest::strategy::Strategy<Value = Vec<Call>> {
    let popping = prop_oneof![
        4 => Just(Call::TryPop),
        1 => Just(Call::PopNow),
        3 => (0_usize..12).prop_map(Call::PopBatch),
        2 => any::<bool>().prop_map(|take| Call::Peek { take }),
    ];
    let call = prop_oneof![
        6 => Just(Call::TryPush),
        1 => Just(Call::PushNow),
        4 => (0_usize..12).prop_map(Call::PushBatch),
        1 => (0_usize..4, 0_usize..4).prop_map(|(gives, lacks)| Call::ShortBatch(gives, gives + lacks)),
        3 => any::<bool>().prop_map(|commit| Call::Claim { commit }),
        10 => popping.clone(),
        2 => (prop_oneof![8 => popping, 1 => Just(Call::Close)], any::<bool>())
            .prop_map(|(call, commit)| Call::Within(Box::new(call), commit)),
        1 => Just(Call::NewHandles),
    ];
    // At most one close, at some place or none.
    (
        prop::collection::vec(call, 0..80),
        prop::option::of(0_usize..80),
    )
        .prop_map(|(mut calls, close)| {
            if let Some(at) = close {
                calls.insert(at.min(calls.len()), Call::Close);
            }
            calls
        })
}

/// What is inside: `None` where an engine may have a void slot, left by a claim
/// that was abandoned. It may cost room until it is the oldest, and not longer.
/// (Some engines leave none, so together they may be more than the capacity.)
#[derive(Debug)]
struct Model {
    inside: VecDeque<Option<u64>>,
    capacity: usize,
    closed: bool,
    next: u64,
}

impl Model {
    fn len(&self) -> usize {
        self.inside.iter().flatten().count()
    }
    fn clear_oldest(&mut self) {
        while self.inside.front() == Some(&None) {
            self.inside.pop_front();
        }
    }
    /// Checks what a push of `wanted` did, `pushed` of which went in.
    fn pushed(&mut self, wanted: usize, pushed: Result<usize, TryPushError<()>>) {
        match pushed {
            Ok(n) => {
                assert!(!self.closed || wanted == 0);
                let room = self.capacity - self.len();
                assert!(n <= wanted.min(room), "{n} of {wanted} into {self:?}");
                if n < wanted.min(room) {
                    // Less than there was room for: voids stood in the way.
                    assert!(
                        n > 0 && self.inside.len() + n >= self.capacity,
                        "{n} of {wanted} into {self:?}"
                    );
                }
                for _ in 0..n {
                    self.inside.push_back(Some(self.next));
                    self.next += 1;
                }
                if self.len() == self.capacity {
                    self.inside.retain(Option::is_some); // no room for a void
                }
            }
            Err(TryPushError::Full(())) => {
                self.clear_oldest(); // a void there would have been taken away
                assert!(!self.closed);
                assert!(wanted > 0 && self.inside.len() >= self.capacity, "{self:?}");
            }
            Err(TryPushError::Busy(())) => panic!("nobody else is there: {self:?}"),
            Err(TryPushError::Closed(())) => assert!(self.closed),
        }
    }
    fn popped(&mut self, max: usize, popped: Result<Vec<u64>, TryPopError>) {
        if max > 0 {
            self.clear_oldest();
        }
        match popped {
            Ok(values) => {
                // A run may end at a void; it never ends earlier than that.
                let whole = self.inside.iter().take_while(|e| e.is_some()).count();
                assert!(values.len() >= max.min(whole) && values.len() <= max);
                for value in values {
                    self.clear_oldest();
                    assert_eq!(self.inside.pop_front(), Some(Some(value)));
                }
            }
            Err(TryPopError::Empty) => {
                assert!(max > 0 && self.len() == 0 && !self.closed, "{self:?}")
            }
            Err(TryPopError::Closed) => {
                assert!(max > 0 && self.len() == 0 && self.closed, "{self:?}")
            }
            Err(TryPopError::Busy) => panic!("nobody else is there: {self:?}"),
        }
    }
    fn abandoned(&mut self) {
        if self.len() < self.capacity {
            self.inside.push_back(None);
        }
    }
}

fn unit<T>(error: TryPushError<T>) -> TryPushError<()> {
    match error {
        TryPushError::Full(_) => TryPushError::Full(()),
        TryPushError::Busy(_) => TryPushError::Busy(()),
        TryPushError::Closed(_) => TryPushError::Closed(()),
    }
}

/// Says `says` and gives `values`.
struct Short(std::vec::IntoIter<u64>, usize);
impl Iterator for Short {
    type Item = u64;
    fn next(&mut self) -> Option<u64> {
        self.0.next()
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.1, Some(self.1))
    }
}
impl ExactSizeIterator for Short {}

fn typed(strategy: Strategy, capacity: usize, patience: Option<u32>, calls: &[Call]) {
    let builder = RingBuffer::builder().strategy(strategy).capacity(capacity);
    let builder = match patience {
        Some(attempts) => builder.patience(attempts),
        None => builder,
    };
    let ring: Ring<u64> = builder.build().unwrap();
    let mut tx = ring.producer().unwrap();
    let mut rx = ring.consumer().unwrap();
    let mut model = Model {
        inside: VecDeque::new(),
        capacity,
        closed: false,
        next: 0,
    };

    fn pop(
        call: &Call,
        rx: &mut turtle_buffers::Consumer<u64>,
    ) -> (usize, Result<Vec<u64>, TryPopError>) {
        match *call {
            Call::TryPop => (1, rx.try_pop().map(|v| vec![v])),
            Call::PopNow => (
                1,
                rx.pop_timeout(std::time::Duration::ZERO)
                    .map(|v| vec![v])
                    .map_err(|why| match why {
                        PopError::Empty => TryPopError::Empty,
                        PopError::Busy => TryPopError::Busy,
                        PopError::Closed => TryPopError::Closed,
                        other => panic!("{other:?}"),
                    }),
            ),
            Call::PopBatch(max) => {
                let mut out = Vec::new();
                (
                    max,
                    rx.try_pop_batch(&mut out, max).map(|n| {
                        assert_eq!(n, out.len());
                        out
                    }),
                )
            }
            Call::Peek { take: true } => (1, rx.try_peek().map(Peek::take).map(|v| vec![v])),
            Call::Peek { take: false } => (1, rx.try_peek().map(|peek| vec![*peek])),
            _ => unreachable!("no pop"),
        }
    }

    for call in calls {
        match call {
            Call::TryPush => {
                let outcome = tx.try_push(model.next);
                assert!(outcome.is_ok() || outcome.unwrap_err().into_inner() == model.next);
                model.pushed(1, outcome.map(|()| 1).map_err(unit));
            }
            Call::PushNow => {
                let outcome = tx.push_timeout(model.next, std::time::Duration::ZERO);
                model.pushed(
                    1,
                    outcome.map(|()| 1).map_err(|why| match why {
                        PushError::Full(_) => TryPushError::Full(()),
                        PushError::Busy(_) => TryPushError::Busy(()),
                        PushError::Closed(_) => TryPushError::Closed(()),
                        other => panic!("{other:?}"),
                    }),
                );
            }
            &Call::PushBatch(n) => {
                let values = model.next..model.next + n as u64;
                let mut values = Batch::new(values.collect::<Vec<_>>());
                let outcome = tx.try_push_batch(&mut values);
                assert_eq!(values.len(), n - outcome.unwrap_or(0));
                model.pushed(n, outcome);
            }
            &Call::ShortBatch(gives, says) => {
                let values = (model.next..model.next + gives as u64).collect::<Vec<_>>();
                let mut values = Batch::new(Short(values.into_iter(), says));
                let outcome = tx.try_push_batch(&mut values);
                let lacking = outcome.is_ok() && values.into_parts().0.0.len() == 0 && says > gives;
                model.pushed(if lacking { gives } else { says }, outcome);
                if lacking {
                    // Claimed for the rest, given up.
                    for _ in gives..says {
                        model.abandoned();
                    }
                }
            }
            &Call::Claim { commit } => match tx.try_claim() {
                Err(why) => model.pushed(1, Err(why)),
                Ok(claim) if commit => {
                    let outcome = claim.commit(model.next);
                    model.pushed(1, outcome.map(|()| 1).map_err(unit));
                }
                Ok(claim) => {
                    drop::<Claim<'_, _, _>>(claim);
                    model.abandoned();
                }
            },
            Call::Within(inner, commit) => match tx.try_claim() {
                Err(why) => model.pushed(1, Err(why)),
                Ok(claim) => {
                    let was_closed = model.closed;
                    if let Call::Close = **inner {
                        ring.close();
                        model.closed = true;
                    } else if model.len() > 0 {
                        // At the claim itself some engines are `Busy`; up to it, none.
                        let max = match **inner {
                            Call::PopBatch(n) => n.min(model.len()),
                            _ => 1,
                        };
                        let inner = if let Call::PopBatch(_) = **inner {
                            &Call::PopBatch(max)
                        } else {
                            &**inner
                        };
                        let (max, popped) = pop(inner, &mut rx);
                        model.popped(max, popped);
                    }
                    if *commit {
                        match claim.commit(model.next) {
                            // It decided when it was claimed.
                            Ok(()) => {
                                let closed = std::mem::replace(&mut model.closed, was_closed);
                                model.pushed(1, Ok(1));
                                model.closed = closed;
                            }
                            Err(why) => model.pushed(1, Err(unit(why))),
                        }
                    } else {
                        drop(claim);
                        model.abandoned();
                    }
                }
            },
            Call::TryPop | Call::PopNow | Call::PopBatch(_) | Call::Peek { .. } => {
                let (max, popped) = pop(call, &mut rx);
                model.popped(max, popped);
            }
            Call::Close => {
                ring.close();
                model.closed = true;
            }
            Call::NewHandles => {
                drop((tx, rx));
                tx = ring.producer().unwrap();
                rx = ring.consumer().unwrap();
            }
        }
        assert_eq!(ring.is_closed(), model.closed);
        assert!(ring.len() >= model.len() && ring.len() <= capacity);
    }
    // Nothing is lost.
    let mut rest = Vec::new();
    while rx.try_pop_batch(&mut rest, capacity).is_ok() {}
    assert_eq!(rest, model.inside.into_iter().flatten().collect::<Vec<_>>());
}

/// The erased face, with records of varying length, does the same.
fn erased(strategy: Strategy, capacity: usize, patience: Option<u32>, calls: &[Call]) {
    let options = Options {
        strategy: Some(strategy),
        capacity,
        elem_size: 40,
        records: true,
        patience,
        ..Options::default()
    };
    // SAFETY: no hook.
    let ring = unsafe { open(&options, None) }.unwrap();
    let mut model = Model {
        inside: VecDeque::new(),
        capacity,
        closed: false,
        next: 0,
    };
    // The number, then as many bytes as it says.
    let record = |number: u64| {
        let mut data = number.to_le_bytes().to_vec();
        data.extend((0..number * 7 % 32).map(|at| (number + at) as u8));
        data
    };
    let refused = |why| match why {
        Outcome::Full => TryPushError::Full(()),
        Outcome::Busy => TryPushError::Busy(()),
        Outcome::Closed => TryPushError::Closed(()),
        other => panic!("{other:?}"),
    };
    let nothing = |why| match why {
        Outcome::Empty => TryPopError::Empty,
        Outcome::Busy => TryPopError::Busy,
        Outcome::Closed => TryPopError::Closed,
        other => panic!("{other:?}"),
    };
    let number_of = |data: &[u8]| {
        let number = u64::from_le_bytes(data[..8].try_into().unwrap());
        assert_eq!(data, record(number));
        number
    };
    let push = |ring: &dyn DynRing, model: &mut Model| {
        let data = record(model.next);
        // SAFETY: a slice.
        match unsafe {
            ring.push_record(data.as_ptr(), data.len(), Some(std::time::Duration::ZERO))
        } {
            Outcome::Ok => model.pushed(1, Ok(1)),
            why => model.pushed(1, Err(refused(why))),
        }
    };
    for call in calls {
        match call {
            Call::TryPush | Call::PushNow | Call::Within(..) => push(&*ring, &mut model),
            &Call::PushBatch(n) | &Call::ShortBatch(n, _) => {
                (0..n).for_each(|_| push(&*ring, &mut model))
            }
            Call::Claim { commit } => {
                let mut slot = std::ptr::null_mut();
                match ring.claim(&mut slot) {
                    Outcome::Ok if *commit => {
                        let data = record(model.next);
                        // SAFETY: a claimed slot of 40 bytes.
                        let outcome = unsafe {
                            slot.copy_from(data.as_ptr(), data.len());
                            ring.commit_record(slot, data.len())
                        };
                        match outcome {
                            Outcome::Ok => model.pushed(1, Ok(1)),
                            why => {
                                model.pushed(1, Err(refused(why)));
                                assert_eq!(ring.abandon(slot), Outcome::Ok);
                            }
                        }
                    }
                    Outcome::Ok => {
                        assert_eq!(ring.abandon(slot), Outcome::Ok);
                        model.abandoned();
                    }
                    why => model.pushed(1, Err(refused(why))),
                }
            }
            Call::TryPop | Call::PopNow | Call::PopBatch(_) => {
                let mut data = [0; 64];
                let mut len = 0;
                // Too small a buffer first: nothing happens.
                // SAFETY: a slice of 64 bytes.
                let small = unsafe {
                    ring.pop_record(
                        data.as_mut_ptr(),
                        7,
                        &mut len,
                        Some(std::time::Duration::ZERO),
                    )
                };
                // SAFETY: as above.
                let outcome = unsafe {
                    ring.pop_record(
                        data.as_mut_ptr(),
                        64,
                        &mut len,
                        Some(std::time::Duration::ZERO),
                    )
                };
                model.popped(
                    1,
                    match outcome {
                        Outcome::Ok => {
                            assert_eq!(small, Outcome::Invalid);
                            Ok(vec![number_of(&data[..len])])
                        }
                        why => {
                            assert_eq!(small, why);
                            Err(nothing(why))
                        }
                    },
                );
            }
            Call::Peek { .. } => {
                let (mut slot, mut len) = (std::ptr::null(), 0);
                model.popped(
                    1,
                    match ring.peek(&mut slot, &mut len) {
                        Outcome::Ok => {
                            // SAFETY: peeked at, `len` bytes.
                            let number =
                                number_of(unsafe { std::slice::from_raw_parts(slot, len) });
                            assert_eq!(ring.release(slot), Outcome::Ok);
                            Ok(vec![number])
                        }
                        why => Err(nothing(why)),
                    },
                );
            }
            Call::Close => {
                ring.close();
                model.closed = true;
            }
            Call::NewHandles => ring.release_thread(),
        }
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 2000 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

macro_rules! suite {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {$(
        mod $module {
            use super::*;
            proptest! {
                #![proptest_config(config())]
                #[test]
                fn typed_answers_are_the_models(
                    capacity in 1_usize..10,
                    patience in patiences(),
                    calls in calls(),
                ) {
                    typed(Strategy::$variant, capacity, patience, &calls);
                }
                #[test]
                fn erased_answers_are_the_models(
                    capacity in 1_usize..10,
                    patience in patiences(),
                    calls in calls(),
                ) {
                    erased(Strategy::$variant, capacity, patience, &calls);
                }
            }
        }
    )+};
}
turtle_buffers::for_each_strategy!(suite);
