//! turtle's engines, through the typed face that users see.

use turtle_buffers::strategy::{self, Engine};
use turtle_buffers::{Consumer, Producer, Ring};

use crate::queue::{Item, MAX_BATCH, Pop, Push, Queue};

/// A private ring. With `BLOCKING`, `push` and `pop` are the ring's own waiting calls; otherwise
/// the shared policy waits around its `try_` calls.
pub struct Turtle<T: Send, S: Engine, const BLOCKING: bool>(Ring<T, S>);

/// The `turn` engine under the shared waiting policy.
pub type Turn<T> = Turtle<T, strategy::Turn, false>;
/// The `wait_free` engine under the shared waiting policy.
pub type WaitFree<T> = Turtle<T, strategy::WaitFree, false>;
/// The `spsc` engine under the shared waiting policy.
pub type Spsc<T> = Turtle<T, strategy::Spsc, false>;
/// The `turn` engine with its own waiting.
pub type BlockingTurn<T> = Turtle<T, strategy::Turn, true>;
/// The `spsc` engine with its own waiting.
pub type BlockingSpsc<T> = Turtle<T, strategy::Spsc, true>;

/// Pushing handle of [`Turtle`].
pub struct TurtleProducer<T: Send, S: Engine, const BLOCKING: bool>(Producer<T, S>);

/// Popping handle of [`Turtle`], with a place for batches.
pub struct TurtleConsumer<T: Send, S: Engine, const BLOCKING: bool> {
    inner: Consumer<T, S>,
    buffer: Vec<T>,
}

impl<T: Item, S: Engine + 'static, const BLOCKING: bool> Queue<T> for Turtle<T, S, BLOCKING> {
    type P<'a> = TurtleProducer<T, S, BLOCKING>;
    type C<'a> = TurtleConsumer<T, S, BLOCKING>;

    fn with_capacity(capacity: usize) -> Self {
        Self(Ring::new(capacity).expect("a private ring of a valid capacity"))
    }
    fn producer(&self) -> Self::P<'_> {
        TurtleProducer(self.0.producer().expect("a producer is free"))
    }
    fn consumer(&self) -> Self::C<'_> {
        TurtleConsumer {
            inner: self.0.consumer().expect("a consumer is free"),
            buffer: Vec::with_capacity(MAX_BATCH),
        }
    }
}

impl<T: Item, S: Engine, const BLOCKING: bool> Push<T> for TurtleProducer<T, S, BLOCKING> {
    #[inline(always)]
    fn try_push(&mut self, value: T) -> Result<(), T> {
        self.0.try_push(value).map_err(|error| error.into_inner())
    }

    #[inline(always)]
    fn push(&mut self, value: T) {
        if BLOCKING {
            assert!(self.0.push(value).is_ok(), "nobody closes the ring");
        } else {
            crate::queue::push_polling(self, value);
        }
    }

    #[inline(always)]
    fn push_batch(&mut self, items: &[T]) -> usize {
        self.0.try_push_slice(items).unwrap_or(0)
    }
}

impl<T: Item, S: Engine, const BLOCKING: bool> Pop<T> for TurtleConsumer<T, S, BLOCKING> {
    #[inline(always)]
    fn try_pop(&mut self) -> Option<T> {
        self.inner.try_iter().next()
    }

    #[inline(always)]
    fn pop(&mut self) -> T {
        if BLOCKING {
            self.inner
                .pop()
                .unwrap_or_else(|error| panic!("nobody closes the ring: {error}"))
        } else {
            crate::queue::pop_polling(self)
        }
    }

    #[inline(always)]
    fn pop_batch(&mut self, max: usize, each: impl FnMut(&T)) -> usize {
        self.buffer.clear();
        let n = self.inner.try_pop_batch(&mut self.buffer, max).unwrap_or(0);
        self.buffer.iter().for_each(each);
        n
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::subjects::tests::{carries, holds_what_was_asked};
    use crate::wake::wake;

    #[test]
    fn the_engines_carry_items_in_order() {
        carries::<Turn<u64>>();
        carries::<Spsc<u64>>();
        carries::<BlockingTurn<u64>>();
        carries::<BlockingSpsc<u64>>();
    }

    #[test]
    fn the_engines_are_bounded_as_the_rivals_are() {
        holds_what_was_asked::<Turn<u64>>();
        holds_what_was_asked::<Spsc<u64>>();
    }

    #[test]
    fn a_blocked_pop_is_woken_every_time() {
        for [median, tail] in [
            wake::<BlockingTurn<u64>>(16, 50),
            wake::<BlockingSpsc<u64>>(16, 50),
        ] {
            assert!(median > 0.0 && median <= tail, "{median} {tail}");
        }
    }
}
