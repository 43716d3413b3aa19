//! Queues with known faults. The checker has to find them: `--self-test`.
//!
//! All three are the classical turn ring (D. Vyukov, 2010) with one counter
//! per side and a sequence number per slot; they differ in what they do when
//! the slot is not on their turn, and in how they claim.
#![allow(clippy::disallowed_types)] // queues of the tool, not of the library

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::queue::{Pop, Push, Queue};
use crate::worlds::Answer;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Flaw {
    /// A slot that is not ready is reported as `Full` or `Empty`, which is
    /// false while the thread that claimed it is stopped.
    Reports = 0,
    /// A slot that is not ready is waited for, inside a `try_` call.
    Waits = 1,
    /// The counter is moved on by a load and a store.
    Tears = 2,
}

impl Flaw {
    /// Every flaw.
    pub(crate) const ALL: [Flaw; 3] = [Flaw::Reports, Flaw::Waits, Flaw::Tears];

    /// The queue's name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Reports => "rigtorp-like",
            Self::Waits => "waiting",
            Self::Tears => "torn",
        }
    }
}

#[derive(Debug)]
struct Slot {
    turn: AtomicU64,
    value: AtomicU64,
}

#[derive(Debug)]
struct Shared {
    push: AtomicU64,
    pop: AtomicU64,
    slots: Vec<Slot>,
}

/// The classical ring with a flaw (`FLAW` is a [`Flaw`]'s number).
#[derive(Clone, Debug)]
pub(crate) struct Classical<const FLAW: u8>(Arc<Shared>);

impl<const FLAW: u8> Classical<FLAW> {
    fn slot(&self, ticket: u64) -> (&Slot, u64) {
        let capacity = self.0.slots.len() as u64;
        (
            &self.0.slots[(ticket % capacity) as usize],
            2 * (ticket / capacity),
        )
    }

    /// The ticket of whoever wins the slot whose turn is `phase` past its lap.
    #[inline(always)]
    fn claim(&self, counter: &AtomicU64, phase: u64) -> Option<u64> {
        let mut ticket = counter.load(Ordering::Acquire);
        loop {
            let (slot, lap) = self.slot(ticket);
            if slot.turn.load(Ordering::Acquire) == lap + phase {
                if FLAW == Flaw::Tears as u8 {
                    counter.store(ticket + 1, Ordering::Release);
                    return Some(ticket);
                }
                let order = (Ordering::AcqRel, Ordering::Acquire);
                match counter.compare_exchange(ticket, ticket + 1, order.0, order.1) {
                    Ok(_) => return Some(ticket),
                    Err(now) => ticket = now,
                }
            } else {
                let before = std::mem::replace(&mut ticket, counter.load(Ordering::Acquire));
                let stuck = ticket == before;
                let other = if phase == 0 {
                    &self.0.pop
                } else {
                    &self.0.push
                };
                let capacity = self.0.slots.len() as u64;
                let gone = if phase == 0 { capacity } else { 0 };
                let nothing = other.load(Ordering::Acquire) + gone == ticket;
                if stuck && (FLAW != Flaw::Waits as u8 || nothing) {
                    return None;
                }
                std::hint::spin_loop();
            }
        }
    }
}

impl<const FLAW: u8> Queue for Classical<FLAW> {
    type Push = Self;
    type Pop = Self;
    fn build(capacity: usize) -> Self {
        let slot = || Slot {
            turn: AtomicU64::new(0),
            value: AtomicU64::new(0),
        };
        let slots = (0..capacity).map(|_| slot()).collect();
        Self(Arc::new(Shared {
            push: AtomicU64::new(0),
            pop: AtomicU64::new(0),
            slots,
        }))
    }
    fn producer(&self) -> Option<Self> {
        Some(self.clone())
    }
    fn consumer(&self) -> Option<Self> {
        Some(self.clone())
    }
    fn close(&self) {}
    fn sleeps(&self) -> u64 {
        0
    }
}

impl<const FLAW: u8> Push for Classical<FLAW> {
    #[inline(always)]
    fn try_push(&mut self, value: u64) -> Answer {
        let Some(ticket) = self.claim(&self.0.push, 0) else {
            return Answer::Full;
        };
        let (slot, lap) = self.slot(ticket);
        slot.value.store(value, Ordering::Relaxed);
        slot.turn.store(lap + 1, Ordering::Release);
        Answer::Done
    }
}

impl<const FLAW: u8> Pop for Classical<FLAW> {
    #[inline(always)]
    fn try_pop(&mut self) -> (Answer, u64) {
        let Some(ticket) = self.claim(&self.0.pop, 1) else {
            return (Answer::Empty, 0);
        };
        let (slot, lap) = self.slot(ticket);
        let value = slot.value.load(Ordering::Relaxed);
        slot.turn.store(lap + 2, Ordering::Release);
        (Answer::Done, value)
    }
}
