//! Prints which machine instructions a successful push and pop execute, for
//! the turn ring and for the same algorithm on plain `std` atomics.
//! `tests/assembly.rs` builds and runs it and compares them.
//!
//! Each line is `name n: offset offset …`: the n-th call, and the offsets of
//! its instructions from the start of the symbol `name`.
#![allow(clippy::disallowed_types)] // the plain side is what they are for here

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
mod probe {
    use std::alloc::{Layout, alloc_zeroed};
    use std::cell::UnsafeCell;
    use std::mem::MaybeUninit;
    use std::ptr::NonNull;
    use std::sync::atomic::{AtomicU64, Ordering};

    use turtle_buffers::atomic::{Strict, Tuned};
    use turtle_buffers::strategy::{Engine, Geometry, RawRing, Turn, Typed};

    const CAPACITY: usize = 64;
    const CALLS: u64 = 12;

    type Raw<P> = <Turn<P> as Engine>::Raw<Typed<u64>>;
    type Producer<P> = <Raw<P> as RawRing<Typed<u64>>>::Producer;
    type Consumer<P> = <Raw<P> as RawRing<Typed<u64>>>::Consumer;

    macro_rules! turn_probes {
        ($profile:ty, $push:ident, $pop:ident) => {
            #[unsafe(no_mangle)]
            #[inline(never)]
            fn $push(ring: &Raw<$profile>, side: &mut Producer<$profile>, value: u64) -> bool {
                // SAFETY: this ring's side, used by this thread only; the
                // payload of a claim is a word.
                unsafe {
                    let Ok(claim) = ring.try_claim(side) else {
                        return false;
                    };
                    claim.write(|payload| payload.cast::<u64>().write(value));
                    ring.try_commit(side, claim).is_ok()
                }
            }
            #[unsafe(no_mangle)]
            #[inline(never)]
            fn $pop(ring: &Raw<$profile>, side: &mut Consumer<$profile>, out: &mut u64) -> bool {
                // SAFETY: as above.
                unsafe {
                    let Ok(taken) = ring.try_take(side) else {
                        return false;
                    };
                    *out = taken.read(|payload| payload.cast::<u64>().read());
                    ring.release(side, taken);
                    true
                }
            }
        };
    }
    turn_probes!(Tuned, probe_tuned_push, probe_tuned_pop);
    turn_probes!(Strict, probe_strict_push, probe_strict_pop);

    /// The turn ring's fast path once more, by hand.
    #[repr(C, align(128))]
    struct Line(AtomicU64);

    #[repr(C)]
    struct Header {
        push: Line,
        pop: Line,
    }

    #[repr(C)]
    struct Slot {
        turn: AtomicU64,
        payload: UnsafeCell<u64>,
    }

    struct Plain {
        header: NonNull<Header>,
        slots: NonNull<u8>,
        capacity: usize,
        index_mask: u64,
        one_lap: u64,
    }

    struct Side {
        blocked: bool,
    }

    const TOP: u64 = 1 << 63;

    impl Plain {
        fn header(&self) -> &Header {
            // SAFETY: allocated for ever by `new`.
            unsafe { self.header.as_ref() }
        }

        fn slot(&self, ticket: u64) -> &Slot {
            let mut index = ((ticket & self.index_mask) >> 2) as usize;
            if index >= self.capacity {
                index = 0;
            }
            // SAFETY: below the capacity.
            unsafe {
                let slot = self.slots.as_ptr().add(index * size_of::<Slot>());
                &*slot.cast::<Slot>()
            }
        }

        fn next(&self, ticket: u64) -> u64 {
            let index = ((ticket & self.index_mask) >> 2) + 1;
            if index < self.capacity as u64 {
                ticket.wrapping_add(4)
            } else {
                let lap = ticket & !self.index_mask;
                let wrapped = (index - self.capacity as u64) << 2;
                (lap.wrapping_add(self.one_lap) | wrapped) & !TOP
            }
        }

        fn look_ahead(slot: &Slot) {
            let at = std::ptr::from_ref(slot).cast::<u8>();
            if at as usize & 63 < 16 {
                turtle_buffers::atomic::prefetch_write(at.wrapping_add(256));
            }
        }
    }

    /// One slot lent, as the ring lends it.
    struct PlainLease {
        payload: *mut u64,
        slot: *const Slot,
        ticket: u64,
    }

    impl Plain {
        // The comparison follows successful calls only; these two stand where
        // the ring finds out what is the matter and tries again.
        #[cold]
        #[inline(never)]
        fn claim_again(&self, side: &mut Side) -> Result<PlainLease, u8> {
            std::hint::black_box((self, side));
            Err(0)
        }

        #[cold]
        #[inline(never)]
        fn take_again(&self, side: &mut Side) -> Result<PlainLease, u8> {
            std::hint::black_box((self, side));
            Err(1)
        }

        #[inline(always)]
        fn claim(&self, side: &mut Side) -> Result<PlainLease, u8> {
            let header = self.header();
            let ticket = header.push.0.load(Ordering::Relaxed);
            let slot = self.slot(ticket);
            let next = self.next(ticket);
            if slot.turn.load(Ordering::Acquire) == ticket && !side.blocked {
                Self::look_ahead(slot);
                let push = &header.push.0;
                if push
                    .compare_exchange(ticket, next, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                {
                    return Ok(PlainLease {
                        payload: slot.payload.get(),
                        slot,
                        ticket,
                    });
                }
            }
            self.claim_again(side)
        }

        #[inline(always)]
        fn take(&self, side: &mut Side) -> Result<PlainLease, u8> {
            let header = self.header();
            let ticket = header.pop.0.load(Ordering::Relaxed);
            let slot = self.slot(ticket);
            let next = self.next(ticket);
            if slot.turn.load(Ordering::Acquire) == ticket.wrapping_add(1) && !side.blocked {
                Self::look_ahead(slot);
                let pop = &header.pop.0;
                if pop
                    .compare_exchange(ticket, next, Ordering::Relaxed, Ordering::Relaxed)
                    .is_ok()
                {
                    return Ok(PlainLease {
                        payload: slot.payload.get(),
                        slot,
                        ticket,
                    });
                }
            }
            self.take_again(side)
        }
    }

    #[unsafe(no_mangle)]
    #[inline(never)]
    fn probe_plain_push(ring: &Plain, side: &mut Side, value: u64) -> bool {
        let Ok(claim) = ring.claim(side) else {
            return false;
        };
        // SAFETY: the exchange gave this thread the slot.
        unsafe { *claim.payload = value };
        ring.slot(claim.ticket)
            .turn
            .store(claim.ticket.wrapping_add(1), Ordering::Release);
        true
    }

    #[unsafe(no_mangle)]
    #[inline(never)]
    fn probe_plain_pop(ring: &Plain, side: &mut Side, out: &mut u64) -> bool {
        let Ok(taken) = ring.take(side) else {
            return false;
        };
        // SAFETY: as above, and the turn says that it is written.
        unsafe { *out = *taken.payload };
        let turn = taken.ticket.wrapping_add(ring.one_lap) & !TOP;
        // SAFETY: a slot of the ring.
        unsafe { (*taken.slot).turn.store(turn, Ordering::Release) };
        true
    }

    fn memory(layout: Layout) -> NonNull<u8> {
        // SAFETY: the layout is not empty. Never freed: the process ends soon.
        NonNull::new(unsafe { alloc_zeroed(layout) }).expect("memory")
    }

    fn turn<R: RawRing<Typed<u64>>>() -> R {
        let geometry = Geometry::new(CAPACITY, Typed::new(), false);
        let at = memory(R::footprint(&geometry).expect("a small ring"));
        // SAFETY: fresh, zeroed, of the footprint.
        unsafe {
            R::init(at, &geometry);
            R::attach(at, &geometry)
        }
    }

    fn plain() -> Plain {
        let header = Layout::new::<Header>();
        let slots = Layout::array::<Slot>(CAPACITY)
            .expect("small")
            .align_to(128)
            .expect("small");
        let (whole, at) = header.extend(slots).expect("small");
        let base = memory(whole.pad_to_align());
        // SAFETY: inside the allocation; zero is a valid word.
        unsafe {
            let slots = base.add(at).cast::<Slot>();
            for index in 0..CAPACITY {
                slots
                    .add(index)
                    .as_ref()
                    .turn
                    .store((index as u64) << 2, Ordering::Relaxed);
            }
            let one_lap = (CAPACITY as u64) << 2;
            Plain {
                header: base.cast(),
                slots: slots.cast(),
                capacity: CAPACITY,
                index_mask: one_lap - 4,
                one_lap,
            }
        }
    }

    const MOST: usize = 4096;

    /// Where the processor was, one entry an instruction.
    struct Steps(UnsafeCell<([usize; MOST], usize)>);
    // SAFETY: written by the signal handler of the one thread there is.
    unsafe impl Sync for Steps {}
    static STEPS: Steps = Steps(UnsafeCell::new(([0; MOST], 0)));

    extern "C" fn on_step(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
        // SAFETY: the kernel's context of this thread; nobody else writes.
        unsafe {
            let context = &*context.cast::<libc::ucontext_t>();
            let (at, count) = &mut *STEPS.0.get();
            if *count < MOST {
                at[*count] = context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize;
                *count += 1;
            }
        }
    }

    fn watch_steps() {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: a whole action; the handler makes no call.
        unsafe {
            let action = action.assume_init_mut();
            action.sa_sigaction = on_step as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO;
            assert_eq!(
                libc::sigaction(libc::SIGTRAP, action, std::ptr::null_mut()),
                0
            );
        }
    }

    /// Runs `call` under the trap flag and prints the part inside `symbol`.
    #[inline(never)]
    fn stepped(name: &str, number: u64, symbol: usize, call: impl FnOnce() -> bool) {
        // SAFETY: the flag makes the processor trap after each instruction,
        // which the handler notes; it is cleared again below.
        let done = unsafe {
            (*STEPS.0.get()).1 = 0;
            std::arch::asm!("pushfq", "or qword ptr [rsp], 0x100", "popfq");
            let done = call();
            std::arch::asm!("pushfq", "and qword ptr [rsp], -257", "popfq");
            done
        };
        assert!(done, "{name} was refused");
        // SAFETY: nothing traps any more.
        let (at, count) = unsafe { &*STEPS.0.get() };
        assert!(*count > 0 && *count < MOST, "{count} instructions");
        let first = at[..*count]
            .iter()
            .position(|at| *at == symbol)
            .expect("the call was stepped");
        print!("{name} {number}:");
        for at in &at[first..*count] {
            // The calls are leaves: what lies further away is the caller.
            let offset = at.wrapping_sub(symbol);
            if offset >= 4096 {
                break;
            }
            print!(" {offset}");
        }
        println!();
    }

    macro_rules! run {
        ($ring:expr, $producer:expr, $consumer:expr, $push:ident, $pop:ident) => {{
            let ring = $ring;
            let (mut producer, mut consumer) = ($producer(&ring), $consumer(&ring));
            for number in 0..CALLS {
                stepped(
                    stringify!($push),
                    number,
                    $push as *const () as usize,
                    || $push(&ring, &mut producer, number),
                );
                let mut out = u64::MAX;
                stepped(stringify!($pop), number, $pop as *const () as usize, || {
                    $pop(&ring, &mut consumer, &mut out)
                });
                assert_eq!(out, number);
            }
        }};
    }

    pub(super) fn main() {
        watch_steps();
        let tuned = || turn::<Raw<Tuned>>();
        let strict = || turn::<Raw<Strict>>();
        run!(
            tuned(),
            |ring: &Raw<Tuned>| ring.new_producer().expect("a side"),
            |ring: &Raw<Tuned>| ring.new_consumer().expect("a side"),
            probe_tuned_push,
            probe_tuned_pop
        );
        run!(
            strict(),
            |ring: &Raw<Strict>| ring.new_producer().expect("a side"),
            |ring: &Raw<Strict>| ring.new_consumer().expect("a side"),
            probe_strict_push,
            probe_strict_pop
        );
        let side = |_: &Plain| Side { blocked: false };
        run!(plain(), side, side, probe_plain_push, probe_plain_pop);
    }
}

fn main() {
    #[cfg(all(target_arch = "x86_64", target_os = "linux"))]
    probe::main();
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux")))]
    println!("skipped: instructions are followed on x86-64 Linux only");
}
