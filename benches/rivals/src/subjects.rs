//! The Rust rivals, each through its best documented calls.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use ringbuf::HeapRb;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};

use crate::queue::{Item, MAX_BATCH, Pop, Push, Queue, pop_polling, push_polling};

/// `crossbeam_queue::ArrayQueue`, the yardstick of the multi-producer rows.
#[derive(Debug)]
pub struct ArrayQueue<T>(crossbeam_queue::ArrayQueue<T>);

impl<T: Copy + Send> Queue<T> for ArrayQueue<T> {
    type P<'a>
        = &'a crossbeam_queue::ArrayQueue<T>
    where
        T: 'a;
    type C<'a>
        = &'a crossbeam_queue::ArrayQueue<T>
    where
        T: 'a;

    fn with_capacity(capacity: usize) -> Self {
        Self(crossbeam_queue::ArrayQueue::new(capacity))
    }
    fn producer(&self) -> Self::P<'_> {
        &self.0
    }
    fn consumer(&self) -> Self::C<'_> {
        &self.0
    }
}

impl<T: Copy> Push<T> for &crossbeam_queue::ArrayQueue<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> Result<(), T> {
        crossbeam_queue::ArrayQueue::push(self, value)
    }
}

impl<T: Copy> Pop<T> for &crossbeam_queue::ArrayQueue<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        crossbeam_queue::ArrayQueue::pop(self)
    }
}

/// `concurrent_queue::ConcurrentQueue::bounded`.
#[derive(Debug)]
pub struct ConcurrentQueue<T>(concurrent_queue::ConcurrentQueue<T>);

impl<T: Copy + Send> Queue<T> for ConcurrentQueue<T> {
    type P<'a>
        = &'a concurrent_queue::ConcurrentQueue<T>
    where
        T: 'a;
    type C<'a>
        = &'a concurrent_queue::ConcurrentQueue<T>
    where
        T: 'a;

    fn with_capacity(capacity: usize) -> Self {
        Self(concurrent_queue::ConcurrentQueue::bounded(capacity))
    }
    fn producer(&self) -> Self::P<'_> {
        &self.0
    }
    fn consumer(&self) -> Self::C<'_> {
        &self.0
    }
}

impl<T: Copy> Push<T> for &concurrent_queue::ConcurrentQueue<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> Result<(), T> {
        concurrent_queue::ConcurrentQueue::push(self, value).map_err(|error| error.into_inner())
    }
}

impl<T: Copy> Pop<T> for &concurrent_queue::ConcurrentQueue<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        concurrent_queue::ConcurrentQueue::pop(self).ok()
    }
}

/// `lfqueue::AllocBoundedQueue`: SCQ, two rings of indices and an array (Nikolaev, DISC 2019).
pub struct Scq<T>(lfqueue::AllocBoundedQueue<T>);

impl<T> std::fmt::Debug for Scq<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scq")
    }
}

impl<T: Copy + Send + Sync> Queue<T> for Scq<T> {
    type P<'a>
        = &'a lfqueue::AllocBoundedQueue<T>
    where
        T: 'a;
    type C<'a>
        = &'a lfqueue::AllocBoundedQueue<T>
    where
        T: 'a;

    fn with_capacity(capacity: usize) -> Self {
        Self(lfqueue::AllocBoundedQueue::new(capacity))
    }
    fn producer(&self) -> Self::P<'_> {
        &self.0
    }
    fn consumer(&self) -> Self::C<'_> {
        &self.0
    }
}

impl<T: Copy> Push<T> for &lfqueue::AllocBoundedQueue<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> Result<(), T> {
        self.enqueue(value)
    }
}

impl<T: Copy> Pop<T> for &lfqueue::AllocBoundedQueue<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.dequeue()
    }
}

/// `crossfire::mpmc::bounded_blocking`. With `BLOCKING` its own `send` and `recv` wait, otherwise
/// the shared policy does.
pub struct Crossfire<T: Send + Unpin + 'static, const BLOCKING: bool> {
    tx: crossfire::MTx<crossfire::mpmc::Array<T>>,
    rx: crossfire::MRx<crossfire::mpmc::Array<T>>,
}

/// Sending half of [`Crossfire`].
pub struct CrossfireTx<T: Send + Unpin + 'static, const BLOCKING: bool>(
    crossfire::MTx<crossfire::mpmc::Array<T>>,
);

/// Receiving half of [`Crossfire`].
pub struct CrossfireRx<T: Send + Unpin + 'static, const BLOCKING: bool>(
    crossfire::MRx<crossfire::mpmc::Array<T>>,
);

impl<T: Copy + Send + Unpin + 'static, const BLOCKING: bool> Queue<T> for Crossfire<T, BLOCKING> {
    type P<'a> = CrossfireTx<T, BLOCKING>;
    type C<'a> = CrossfireRx<T, BLOCKING>;

    fn with_capacity(capacity: usize) -> Self {
        let (tx, rx) = crossfire::mpmc::bounded_blocking(capacity);
        Self { tx, rx }
    }
    fn producer(&self) -> Self::P<'_> {
        CrossfireTx(self.tx.clone())
    }
    fn consumer(&self) -> Self::C<'_> {
        CrossfireRx(self.rx.clone())
    }
}

impl<T: Copy + Send + Unpin + 'static, const BLOCKING: bool> Push<T> for CrossfireTx<T, BLOCKING> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> Result<(), T> {
        self.0.try_send(value).map_err(|error| error.into_inner())
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        if BLOCKING {
            assert!(self.0.send(value).is_ok(), "the queue owns a receiver");
        } else {
            push_polling(self, value);
        }
    }
}

impl<T: Copy + Send + Unpin + 'static, const BLOCKING: bool> Pop<T> for CrossfireRx<T, BLOCKING> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.0.try_recv().ok()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        if BLOCKING {
            self.0
                .recv()
                .unwrap_or_else(|_| panic!("the queue owns a sender"))
        } else {
            pop_polling(self)
        }
    }
}

/// `std::sync::Mutex` around a `VecDeque` with a limit.
#[derive(Debug)]
pub struct MutexDeque<T> {
    items: Mutex<VecDeque<T>>,
    capacity: usize,
}

impl<T: Copy + Send> Queue<T> for MutexDeque<T> {
    type P<'a>
        = &'a Self
    where
        T: 'a;
    type C<'a>
        = &'a Self
    where
        T: 'a;

    fn with_capacity(capacity: usize) -> Self {
        Self {
            items: Mutex::new(VecDeque::with_capacity(capacity)),
            capacity,
        }
    }
    fn producer(&self) -> Self::P<'_> {
        self
    }
    fn consumer(&self) -> Self::C<'_> {
        self
    }
}

impl<T: Copy> Push<T> for &MutexDeque<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> Result<(), T> {
        let mut items = self.items.lock().unwrap_or_else(PoisonError::into_inner);
        if items.len() == self.capacity {
            return Err(value);
        }
        items.push_back(value);
        Ok(())
    }
}

impl<T: Copy> Pop<T> for &MutexDeque<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.items
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
    }
}

/// Both halves of a queue that hands out one of each.
pub struct Halves<P, C>(Mutex<(Option<P>, Option<C>)>);

impl<P, C> Halves<P, C> {
    /// Keeps the halves until they are asked for.
    pub fn new(producer: P, consumer: C) -> Self {
        Self(Mutex::new((Some(producer), Some(consumer))))
    }

    /// The one producer.
    ///
    /// # Panics
    /// On the second call.
    pub fn producer(&self) -> P {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .take()
            .expect("one producer")
    }

    /// The one consumer.
    ///
    /// # Panics
    /// On the second call.
    pub fn consumer(&self) -> C {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .take()
            .expect("one consumer")
    }
}

/// `rtrb::RingBuffer`; batches through its chunks.
pub struct Rtrb<T>(Halves<rtrb::Producer<T>, rtrb::Consumer<T>>);

impl<T: Copy + Send> Queue<T> for Rtrb<T> {
    type P<'a>
        = rtrb::Producer<T>
    where
        T: 'a;
    type C<'a>
        = rtrb::Consumer<T>
    where
        T: 'a;

    fn with_capacity(capacity: usize) -> Self {
        let (producer, consumer) = rtrb::RingBuffer::new(capacity);
        Self(Halves::new(producer, consumer))
    }
    fn producer(&self) -> Self::P<'_> {
        self.0.producer()
    }
    fn consumer(&self) -> Self::C<'_> {
        self.0.consumer()
    }
}

impl<T: Copy> Push<T> for rtrb::Producer<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> Result<(), T> {
        rtrb::Producer::push(self, value).map_err(|rtrb::PushError::Full(back)| back)
    }

    #[inline(always)]
    fn push_batch(&mut self, items: &[T]) -> usize {
        self.push_partial_slice(items).0.len()
    }
}

impl<T: Copy> Pop<T> for rtrb::Consumer<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        rtrb::Consumer::pop(self).ok()
    }

    #[inline(always)]
    fn pop_batch(&mut self, max: usize, mut each: impl FnMut(&T)) -> usize {
        let n = max.min(self.slots());
        let Ok(chunk) = self.read_chunk(n) else {
            return 0;
        };
        let (first, second) = chunk.as_slices();
        first.iter().for_each(&mut each);
        second.iter().for_each(&mut each);
        chunk.commit_all();
        n
    }
}

/// `ringbuf::HeapRb`; batches through its slices.
pub struct Ringbuf<T>(Halves<ringbuf::HeapProd<T>, ringbuf::HeapCons<T>>);

/// Consumer of [`Ringbuf`] with a place to copy slices to.
pub struct RingbufCons<T> {
    inner: ringbuf::HeapCons<T>,
    buffer: Vec<T>,
}

impl<T: Copy + Send + Item> Queue<T> for Ringbuf<T> {
    type P<'a> = ringbuf::HeapProd<T>;
    type C<'a> = RingbufCons<T>;

    fn with_capacity(capacity: usize) -> Self {
        let (producer, consumer) = HeapRb::new(capacity).split();
        Self(Halves::new(producer, consumer))
    }
    fn producer(&self) -> Self::P<'_> {
        self.0.producer()
    }
    fn consumer(&self) -> Self::C<'_> {
        RingbufCons {
            inner: self.0.consumer(),
            buffer: vec![T::BLANK; MAX_BATCH],
        }
    }
}

impl<T: Copy> Push<T> for ringbuf::HeapProd<T> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> Result<(), T> {
        ringbuf::traits::Producer::try_push(self, value)
    }

    #[inline(always)]
    fn push_batch(&mut self, items: &[T]) -> usize {
        self.push_slice(items)
    }
}

impl<T: Copy> Pop<T> for RingbufCons<T> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.inner.try_pop()
    }

    #[inline(always)]
    fn pop_batch(&mut self, max: usize, each: impl FnMut(&T)) -> usize {
        let n = self.inner.pop_slice(&mut self.buffer[..max]);
        self.buffer[..n].iter().for_each(each);
        n
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::queue::{Arena, Sink, Source, Typed};

    /// Through the workers' loops on two threads, one by one and in batches.
    pub(crate) fn carries<Q: Queue<u64>>() {
        for batch in [1, 7, MAX_BATCH] {
            let queue = Typed::<Q, u64>::with_capacity(8);
            let (mut source, mut sink) = (queue.source(), queue.sink());
            let tally = std::thread::scope(|scope| {
                scope.spawn(move || source.run(3, 1000, batch));
                sink.run(1000, batch, 1)
            });
            assert_eq!((tally.count, tally.disorder), (1000, 0), "batch {batch}");
            assert_eq!(
                tally.sum,
                1000 * (3 << 32) + 1000 * 999 / 2,
                "batch {batch}"
            );
        }
        assert_eq!(Typed::<Q, u64>::with_capacity(8).pairs(100), 100 * 99 / 2);
    }

    #[test]
    fn every_subject_carries_items_in_order() {
        carries::<ArrayQueue<u64>>();
        carries::<ConcurrentQueue<u64>>();
        carries::<Crossfire<u64, false>>();
        carries::<Crossfire<u64, true>>();
        carries::<MutexDeque<u64>>();
        carries::<Rtrb<u64>>();
        carries::<Ringbuf<u64>>();
    }

    pub(crate) fn holds_what_was_asked<Q: Queue<u64>>() {
        let queue = Q::with_capacity(4);
        let mut producer = queue.producer();
        let accepted = (0..100)
            .take_while(|i| producer.try_push(*i).is_ok())
            .count();
        assert_eq!(accepted, 4);
    }

    #[test]
    fn every_bounded_subject_is_bounded_alike() {
        holds_what_was_asked::<ArrayQueue<u64>>();
        holds_what_was_asked::<ConcurrentQueue<u64>>();
        holds_what_was_asked::<Crossfire<u64, false>>();
        holds_what_was_asked::<MutexDeque<u64>>();
        holds_what_was_asked::<Rtrb<u64>>();
        holds_what_was_asked::<Ringbuf<u64>>();
    }
}
