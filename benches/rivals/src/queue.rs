//! What a subject must offer, and the waiting policy that all of them share.

use std::marker::PhantomData;

/// Largest batch that any scenario uses.
pub const MAX_BATCH: usize = 64;

/// The shared waiting policy: `pause` up to 63 times, then give the core away.
///
/// A new value starts afresh; make one for every operation.
#[derive(Debug, Default)]
pub struct Wait {
    failures: u32,
}

impl Wait {
    /// A policy that has seen no failure yet.
    #[inline(always)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spends a moment after a failed attempt.
    #[inline(always)]
    pub fn pause(&mut self) {
        if self.failures < 63 {
            self.failures += 1;
            std::hint::spin_loop();
        } else {
            self.failures = 0;
            // SAFETY: takes no argument and touches no memory.
            unsafe { libc::sched_yield() };
        }
    }
}

/// What travels through a queue. Its name is `producer << 32 | sequence`.
pub trait Item: Copy + Send + Unpin + 'static {
    /// A value without a name.
    const BLANK: Self;
    /// Writes the name.
    fn stamp(&mut self, id: u64);
    /// Reads the name.
    fn id(&self) -> u64;
    /// Whether the item arrived in one piece.
    fn whole(&self) -> bool;
}

impl Item for u64 {
    const BLANK: Self = 0;
    #[inline(always)]
    fn stamp(&mut self, id: u64) {
        *self = id;
    }
    #[inline(always)]
    fn id(&self) -> u64 {
        *self
    }
    #[inline(always)]
    fn whole(&self) -> bool {
        true
    }
}

/// The name stands at both ends, so half an item is noticed.
impl<const N: usize> Item for [u8; N] {
    const BLANK: Self = [0; N];
    #[inline(always)]
    fn stamp(&mut self, id: u64) {
        const { assert!(N >= 16) };
        self[..8].copy_from_slice(&id.to_le_bytes());
        self[N - 8..].copy_from_slice(&id.to_le_bytes());
    }
    #[inline(always)]
    fn id(&self) -> u64 {
        u64::from_le_bytes(self[..8].try_into().expect("eight bytes"))
    }
    #[inline(always)]
    fn whole(&self) -> bool {
        self[..8] == self[N - 8..]
    }
}

/// The pushing side of a queue.
pub trait Push<T: Copy> {
    /// One attempt; gives the value back when there is no room.
    fn try_push(&mut self, value: T) -> Result<(), T>;

    /// Pushes, waiting by the shared policy. Subjects with a blocking call of their own override it.
    #[inline(always)]
    fn push(&mut self, value: T) {
        push_polling(self, value);
    }

    /// Pushes a prefix of `items` and answers its length; 0 when there is no room.
    #[inline(always)]
    fn push_batch(&mut self, items: &[T]) -> usize {
        items
            .iter()
            .take_while(|item| self.try_push(**item).is_ok())
            .count()
    }
}

/// The popping side of a queue.
pub trait Pop<T: Copy> {
    /// One attempt; `None` when nothing is there.
    fn try_pop(&mut self) -> Option<T>;

    /// Pops, waiting by the shared policy. Subjects with a blocking call of their own override it.
    #[inline(always)]
    fn pop(&mut self) -> T {
        pop_polling(self)
    }

    /// Shows up to `max` popped items to `each` and answers how many there were.
    #[inline(always)]
    fn pop_batch(&mut self, max: usize, mut each: impl FnMut(&T)) -> usize {
        let mut count = 0;
        while count < max
            && let Some(value) = self.try_pop()
        {
            each(&value);
            count += 1;
        }
        count
    }
}

/// Repeats [`Push::try_push`] by the shared policy until there is room.
#[inline(always)]
pub fn push_polling<T: Copy>(producer: &mut (impl Push<T> + ?Sized), mut value: T) {
    let mut wait = Wait::new();
    while let Err(back) = producer.try_push(value) {
        value = back;
        wait.pause();
    }
}

/// Repeats [`Pop::try_pop`] by the shared policy until something is there.
#[inline(always)]
pub fn pop_polling<T: Copy>(consumer: &mut (impl Pop<T> + ?Sized)) -> T {
    let mut wait = Wait::new();
    loop {
        if let Some(value) = consumer.try_pop() {
            return value;
        }
        wait.pause();
    }
}

/// A queue with handles, as Rust subjects are.
pub trait Queue<T: Copy>: Sync + Sized {
    /// The pushing handle.
    type P<'a>: Push<T> + Send
    where
        Self: 'a;
    /// The popping handle.
    type C<'a>: Pop<T> + Send
    where
        Self: 'a;

    /// An empty queue for `capacity` items.
    fn with_capacity(capacity: usize) -> Self;
    /// A pushing handle; single-producer queues give one and panic on the second call.
    fn producer(&self) -> Self::P<'_>;
    /// A popping handle; single-consumer queues give one and panic on the second call.
    fn consumer(&self) -> Self::C<'_>;
}

/// What a consumer saw. Laid out as the C++ shim fills it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Tally {
    /// Items taken.
    pub count: u64,
    /// Wrapping sum of their names.
    pub sum: u64,
    /// Items that came before an earlier one of the same producer, or in pieces.
    pub disorder: u64,
}

/// How a [`Checker`] finds a producer's place.
///
/// Checking must not be what a run measures: with a table lookup for each item the fastest rings
/// move less than half as many items. So the place is kept in a register where that can be done.
pub mod places {
    /// One producer: its place is a register.
    pub const ONE: u8 = 0;
    /// Several, in runs: the place of the producer seen last is a register.
    pub const RUNS: u8 = 1;
    /// Several, mixed: a table.
    pub const MIXED: u8 = 2;
}

/// Checks items as they arrive at one consumer.
#[derive(Debug)]
pub struct Checker<const PLACES: u8> {
    tally: Tally,
    producer: u64,
    expected: u64,
    table: [u64; 64],
}

impl<const PLACES: u8> Default for Checker<PLACES> {
    fn default() -> Self {
        Self {
            tally: Tally::default(),
            producer: 0,
            expected: 0,
            table: [0; 64],
        }
    }
}

impl<const PLACES: u8> Checker<PLACES> {
    /// Takes note of one item.
    #[inline(always)]
    pub fn take<T: Item>(&mut self, item: &T) {
        let id = item.id();
        let (producer, sequence) = (id >> 32, id & 0xffff_ffff);
        if PLACES == places::RUNS && producer != self.producer {
            self.change_to(producer);
        }
        let expected = if PLACES == places::MIXED {
            &mut self.table[producer as usize & 63]
        } else {
            &mut self.expected
        };
        self.tally.disorder += u64::from(sequence < *expected) + u64::from(!item.whole());
        *expected = sequence + 1;
        self.tally.sum = self.tally.sum.wrapping_add(id);
        self.tally.count += 1;
    }

    #[inline(always)]
    fn change_to(&mut self, producer: u64) {
        self.table[self.producer as usize & 63] = self.expected;
        self.producer = producer;
        self.expected = self.table[producer as usize & 63];
    }

    /// Items seen so far.
    #[inline(always)]
    pub fn count(&self) -> u64 {
        self.tally.count
    }

    /// The final account.
    pub fn tally(&self) -> Tally {
        self.tally
    }
}

/// The loop of one producing thread.
pub trait Source {
    /// Pushes `items` items of `producer`, `batch` at a time.
    fn run(&mut self, producer: u64, items: u64, batch: usize);
}

/// The loop of one consuming thread.
pub trait Sink {
    /// Pops `items` items, up to `batch` at a time, and checks them; `producers` push.
    fn run(&mut self, items: u64, batch: usize, producers: usize) -> Tally;
}

/// A queue seen as the loops of its workers. C++ subjects implement it directly.
pub trait Arena: Sync + Sized {
    /// Loop of a producer.
    type Source<'a>: Source + Send
    where
        Self: 'a;
    /// Loop of a consumer.
    type Sink<'a>: Sink + Send
    where
        Self: 'a;

    /// An empty queue for `capacity` items.
    fn with_capacity(capacity: usize) -> Self;
    /// A producer's loop.
    fn source(&self) -> Self::Source<'_>;
    /// A consumer's loop.
    fn sink(&self) -> Self::Sink<'_>;
    /// Pushes and pops `items` items in turn on this thread; the sum of what came out of 0, 1, 2…
    fn pairs(&self, items: u64) -> u64;
}

/// Worker loops over the handles of a Rust queue.
#[derive(Debug)]
pub struct Typed<Q, T>(Q, PhantomData<fn(T) -> T>);

/// A producer's loop over a handle.
#[derive(Debug)]
pub struct Feed<P, T>(P, PhantomData<fn(T)>);

/// A consumer's loop over a handle.
#[derive(Debug)]
pub struct Drain<C, T>(C, PhantomData<fn() -> T>);

impl<T: Item, Q: Queue<T>> Arena for Typed<Q, T> {
    type Source<'a>
        = Feed<Q::P<'a>, T>
    where
        Self: 'a;
    type Sink<'a>
        = Drain<Q::C<'a>, T>
    where
        Self: 'a;

    fn with_capacity(capacity: usize) -> Self {
        Self(Q::with_capacity(capacity), PhantomData)
    }

    fn source(&self) -> Self::Source<'_> {
        Feed(self.0.producer(), PhantomData)
    }

    fn sink(&self) -> Self::Sink<'_> {
        Drain(self.0.consumer(), PhantomData)
    }

    fn pairs(&self, items: u64) -> u64 {
        let (mut producer, mut consumer) = (self.0.producer(), self.0.consumer());
        let mut item = T::BLANK;
        let mut sum = 0_u64;
        for i in 0..items {
            item.stamp(std::hint::black_box(i));
            producer.push(item);
            sum = sum.wrapping_add(std::hint::black_box(consumer.pop()).id());
        }
        sum
    }
}

impl<T: Item, Q: Queue<T>> Typed<Q, T> {
    /// As `pairs`, eight pushes and then eight pops.
    pub fn eights(&self, items: u64) -> u64 {
        let (mut producer, mut consumer) = (self.0.producer(), self.0.consumer());
        let mut item = T::BLANK;
        let mut sum = 0_u64;
        for first in (0..items).step_by(8) {
            let eight = first..(first + 8).min(items);
            for i in eight.clone() {
                item.stamp(std::hint::black_box(i));
                producer.push(item);
            }
            for _ in eight {
                sum = sum.wrapping_add(std::hint::black_box(consumer.pop()).id());
            }
        }
        sum
    }
}

impl<T: Item, P: Push<T>> Source for Feed<P, T> {
    #[inline(never)]
    fn run(&mut self, producer: u64, items: u64, batch: usize) {
        // Not known to the compiler: some subjects would copy it from the program's constants
        // straight into the slot, as no program does that has something to say.
        let mut item = std::hint::black_box(T::BLANK);
        if batch == 1 {
            for sequence in 0..items {
                item.stamp(producer << 32 | sequence);
                self.0.push(item);
            }
        } else {
            self.run_batches(producer, items, batch);
        }
    }
}

impl<T: Item, P: Push<T>> Feed<P, T> {
    /// Apart from `run`, so that single large items do not pay for this buffer's stack.
    #[inline(never)]
    fn run_batches(&mut self, producer: u64, items: u64, batch: usize) {
        let mut buffer = [T::BLANK; MAX_BATCH];
        let mut sequence = 0;
        while sequence < items {
            let n = batch.min((items - sequence) as usize);
            for slot in &mut buffer[..n] {
                slot.stamp(producer << 32 | sequence);
                sequence += 1;
            }
            let mut left = &buffer[..n];
            let mut wait = Wait::new();
            while !left.is_empty() {
                match self.0.push_batch(left) {
                    0 => wait.pause(),
                    done => {
                        left = &left[done..];
                        wait = Wait::new();
                    }
                }
            }
        }
    }
}

impl<T: Item, C: Pop<T>> Sink for Drain<C, T> {
    fn run(&mut self, items: u64, batch: usize, producers: usize) -> Tally {
        match (producers, batch) {
            (1, _) => self.run_checked::<{ places::ONE }>(items, batch),
            (_, 1) => self.run_checked::<{ places::MIXED }>(items, batch),
            (_, _) => self.run_checked::<{ places::RUNS }>(items, batch),
        }
    }
}

impl<T: Item, C: Pop<T>> Drain<C, T> {
    #[inline(never)]
    fn run_checked<const PLACES: u8>(&mut self, items: u64, batch: usize) -> Tally {
        let mut checker = Checker::<PLACES>::default();
        if batch == 1 {
            while checker.count() < items {
                checker.take(&self.0.pop());
            }
            return checker.tally();
        }
        let mut wait = Wait::new();
        while checker.count() < items {
            let max = batch.min((items - checker.count()) as usize);
            match self.0.pop_batch(max, |item| checker.take(item)) {
                0 => wait.pause(),
                _ => wait = Wait::new(),
            }
        }
        checker.tally()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen_by<const PLACES: u8>(ids: &[u64]) -> Tally {
        let mut checker = Checker::<PLACES>::default();
        ids.iter().for_each(|id| checker.take(id));
        checker.tally()
    }

    fn seen(ids: &[u64]) -> Tally {
        let tally = seen_by::<{ places::MIXED }>(ids);
        assert_eq!(
            tally,
            seen_by::<{ places::RUNS }>(ids),
            "both ways of checking agree"
        );
        tally
    }

    #[test]
    fn order_is_judged_per_producer() {
        assert_eq!(seen(&[0, 1 << 32, 1, 1 << 32 | 1, 5]).disorder, 0);
        assert_eq!(seen(&[0, 2, 1]).disorder, 1);
        assert_eq!(seen(&[5, 1 << 32 | 9, 4, 1 << 32 | 8]).disorder, 2);
        assert_eq!(seen(&[7, 7]).disorder, 1, "twice the same item");
        assert_eq!(seen_by::<{ places::ONE }>(&[0, 2, 1, 2]).disorder, 1);
    }

    #[test]
    fn half_an_item_is_noticed() {
        let mut item = <[u8; 64]>::BLANK;
        item.stamp(9);
        assert!(item.whole());
        item[60] ^= 1;
        assert!(!item.whole());
    }

    #[test]
    fn sums_count_every_item() {
        assert_eq!(
            seen(&[3, 1 << 32]),
            Tally {
                count: 2,
                sum: (1 << 32) + 3,
                disorder: 0
            }
        );
    }
}
