//! Step names, orderings and profiles.
//!
//! An access to shared memory names its step and the ordering it asks for:
//! `slot.turn.load(P::acquire(PUSH_TURN))`. The profile `P` decides which
//! ordering is really used.

use std::sync::atomic::Ordering;

/// One atomic step of an algorithm: the word used in the code, in the step
/// table, in traces and in proofs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Step {
    name: &'static str,
}

impl Step {
    /// Names a step. Use [`steps!`](crate::steps).
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self { name }
    }

    /// The name, upper snake case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }
}

/// An ordering together with the step that asked for it.
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub(super) ordering: Ordering,
    // Read by the tracing and mutating layers and the cost backend only.
    #[cfg_attr(not(any(turtle_trace, turtle_mutate, turtle_cost)), allow(dead_code))]
    pub(super) step: Step,
}

impl Order {
    /// The memory ordering.
    #[must_use]
    pub const fn ordering(self) -> Ordering {
        self.ordering
    }
}

/// Chooses the ordering of every step of an algorithm.
///
/// The default methods give what the call site asks for.
pub trait Profile: Copy + Default + Send + Sync + std::fmt::Debug + 'static {
    /// Maps the ordering written at the call site to the one that is used.
    fn map(step: Step, written: Ordering) -> Ordering;

    /// No ordering beyond the word's own modification order.
    #[inline(always)]
    fn relaxed(step: Step) -> Order {
        Order {
            ordering: Self::map(step, Ordering::Relaxed),
            step,
        }
    }
    /// Sees what was written before the release store it reads from.
    #[inline(always)]
    fn acquire(step: Step) -> Order {
        Order {
            ordering: Self::map(step, Ordering::Acquire),
            step,
        }
    }
    /// Publishes what was written before it.
    #[inline(always)]
    fn release(step: Step) -> Order {
        Order {
            ordering: Self::map(step, Ordering::Release),
            step,
        }
    }
    /// Both, for a read-modify-write.
    #[inline(always)]
    fn acq_rel(step: Step) -> Order {
        Order {
            ordering: Self::map(step, Ordering::AcqRel),
            step,
        }
    }
    /// A full fence or a sequentially consistent access.
    #[inline(always)]
    fn seq_cst(step: Step) -> Order {
        Order {
            ordering: Self::map(step, Ordering::SeqCst),
            step,
        }
    }
}

/// The orderings as written in the code: what ships.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tuned;

impl Profile for Tuned {
    #[inline(always)]
    #[cfg(not(turtle_mutate))]
    fn map(_: Step, written: Ordering) -> Ordering {
        written
    }
    // Waiting is written for this profile only; its steps are weakened here.
    #[cfg(turtle_mutate)]
    fn map(step: Step, written: Ordering) -> Ordering {
        Weakened::map(step, written)
    }
}

/// Sequential consistency everywhere: for comparison, suspicion and teaching.
#[derive(Clone, Copy, Debug, Default)]
pub struct Strict;

impl Profile for Strict {
    #[inline(always)]
    fn map(_: Step, _: Ordering) -> Ordering {
        Ordering::SeqCst
    }
}

/// As written, but one chosen step is relaxed. For tests only: it shows which
/// orderings are needed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weakened;

// Not a shared word of any algorithm: which step to weaken, set between runs.
static WEAKENED: std::sync::Mutex<Option<Step>> = std::sync::Mutex::new(None);

// And which steps have come by while none was.
static COME_BY: std::sync::Mutex<Vec<Step>> = std::sync::Mutex::new(Vec::new());

impl Weakened {
    /// Chooses the step whose ordering is dropped from now on; `None` for none.
    pub fn choose(step: Option<Step>) {
        *WEAKENED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = step;
    }

    /// The steps that have come by while none was weakened: a client can miss
    /// the ordering of no other.
    #[must_use]
    pub fn come_by() -> Vec<Step> {
        COME_BY
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clone()
    }

    fn note(step: Step) {
        let mut all = COME_BY
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if !all.contains(&step) {
            all.push(step);
        }
    }
}

impl Profile for Weakened {
    fn map(step: Step, written: Ordering) -> Ordering {
        let chosen = *WEAKENED
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if chosen.is_none() {
            Self::note(step);
        }
        if chosen == Some(step) {
            Ordering::Relaxed
        } else {
            written
        }
    }
}

/// Declares the steps of an algorithm, in the order of its module table.
///
/// Makes one `const NAME: Step` each and `const STEPS: &[Step]`.
#[macro_export]
macro_rules! steps {
    ($($(#[$doc:meta])* $name:ident;)+) => {
        $(
            $(#[$doc])*
            pub const $name: $crate::atomic::Step = $crate::atomic::Step::new(stringify!($name));
        )+
        /// Every step of this module, in the order of its table.
        pub const STEPS: &[$crate::atomic::Step] = &[$($name),+];
    };
}
