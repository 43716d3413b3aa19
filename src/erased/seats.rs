//! Which thread has which side of a ring that any thread may call.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::core::Role;
use crate::strategy::Traits;

/// A side that one thread has until it gets up.
#[repr(align(128))] // a neighbour's thread shall not slow this one down
pub(super) struct Seat<P> {
    owner: AtomicUsize,
    side: UnsafeCell<Option<(P, Role)>>,
}

// SAFETY: `side` is used by the owner only.
unsafe impl<P: Send> Sync for Seat<P> {}

impl<P> Seat<P> {
    fn new() -> Self {
        Self {
            owner: AtomicUsize::new(0),
            side: UnsafeCell::new(None),
        }
    }

    #[inline(always)]
    fn is_of(&self, token: usize) -> bool {
        self.owner.load(Ordering::Relaxed) == token
    }

    fn take(&self, token: usize, make: impl FnOnce() -> Option<(P, Role)>) -> bool {
        if self
            .owner
            .compare_exchange(0, token, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return false;
        }
        let side = make();
        let taken = side.is_some();
        // SAFETY: this thread owns the seat since the exchange.
        unsafe { *self.side.get() = side };
        if !taken {
            self.owner.store(0, Ordering::Release);
        }
        taken
    }

    /// # Safety
    /// The calling thread owns the seat, or nobody else uses it.
    unsafe fn leave(&self) {
        // SAFETY: the caller's promise.
        unsafe { *self.side.get() = None };
        self.owner.store(0, Ordering::Release);
    }
}

/// The seats of one direction. An engine that allows one thread has one; an
/// engine that keeps records of its participants has twice as many as those;
/// for the others a side is made for each call and there is none.
pub(super) struct Seats<P> {
    one: Seat<P>,
    /// A table by thread, a power of two of them, at most half taken.
    many: Box<[Seat<P>]>,
    /// What calls without a side of their own leave for the next one.
    pub(super) hint: AtomicU32,
}

impl<P> Seats<P> {
    pub(super) fn new(traits: Traits, participants: usize) -> Self {
        let many = if traits.records {
            2 * participants.next_power_of_two()
        } else {
            0
        };
        Self {
            one: Seat::new(),
            many: (0..many).map(|_| Seat::new()).collect(),
            hint: AtomicU32::new(0),
        }
    }

    /// Where a thread's seat is, unless somebody sat there before.
    #[inline(always)]
    fn home(&self, token: usize) -> usize {
        // Tokens are addresses of control blocks, whole pages apart.
        (token >> 12) & (self.many.len() - 1)
    }

    /// The side that this thread has, if it takes no search to find it.
    ///
    /// # Safety
    /// `token` is the calling thread's; it uses no side of these seats now.
    #[inline(always)]
    #[allow(clippy::mut_from_ref)] // of the calling thread's own seat
    pub(super) unsafe fn at_hand(&self, token: usize, records: bool) -> Option<&mut P> {
        let seat = if records {
            &self.many[self.home(token)]
        } else {
            &self.one
        };
        if !seat.is_of(token) {
            return None;
        }
        // SAFETY: the owner sat down, so the side is there, and it is this thread.
        let (side, _) = unsafe { (*seat.side.get()).as_mut().unwrap_unchecked() };
        Some(side)
    }

    /// The side that this thread has; sits down with what `make` makes if it has none.
    ///
    /// # Safety
    /// As [`at_hand`](Self::at_hand).
    #[cold]
    #[inline(never)]
    #[allow(clippy::mut_from_ref)] // as above
    pub(super) unsafe fn search(
        &self,
        token: usize,
        records: bool,
        mut make: impl FnMut() -> Option<(P, Role)>,
    ) -> Option<&mut P> {
        let seats = if records {
            &self.many[..]
        } else {
            std::slice::from_ref(&self.one)
        };
        let home = if records { self.home(token) } else { 0 };
        let from_home = || (0..seats.len()).map(|by| &seats[(home + by) & (seats.len() - 1)]);
        // All of them: whoever sat between may have got up.
        let seat = from_home().find(|seat| seat.is_of(token)).or_else(|| {
            let free = |seat: &&Seat<P>| seat.owner.load(Ordering::Relaxed) == 0;
            let mut refused = false;
            from_home().filter(free).find(|seat| {
                // No second try when there is no side to be had.
                !refused
                    && seat.take(token, || {
                        make().or_else(|| {
                            refused = true;
                            None
                        })
                    })
            })
        })?;
        // SAFETY: this thread owns the seat.
        unsafe { (*seat.side.get()).as_mut() }.map(|(side, _)| side)
    }

    /// Gives up what this thread has.
    pub(super) fn get_up(&self, token: usize) {
        let all = std::iter::once(&self.one).chain(&self.many[..]);
        for seat in all.filter(|seat| seat.is_of(token)) {
            // SAFETY: this thread is the owner.
            unsafe { seat.leave() };
        }
    }

    /// Forgets everybody.
    ///
    /// # Safety
    /// Nobody else uses these seats now.
    pub(super) unsafe fn clear(&self) {
        for seat in std::iter::once(&self.one).chain(&self.many[..]) {
            // SAFETY: the caller's promise.
            unsafe { seat.leave() };
        }
    }
}
