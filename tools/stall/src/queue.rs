//! What the tool stops and probes: the library's rings, and the tool's own
//! wrong queues.
#![allow(clippy::disallowed_types)] // a switch of the tool's own

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use turtle_buffers::os::segment::Segment;
use turtle_buffers::strategy::{Any, Engine};
use turtle_buffers::{
    Batch, Consumer, OpenMode, Options, PopError, Producer, PushError, Ring, TryPopError,
    TryPushError,
};

use crate::worlds::{Answer, Outcome};

/// Whether calls announce themselves at once, in this process.
pub(crate) static SLOW: AtomicBool = AtomicBool::new(false);

/// A queue of numbers.
pub(crate) trait Queue: Clone + Send + 'static {
    /// A producer.
    type Push: Push + Send + 'static;
    /// A consumer.
    type Pop: Pop + Send + 'static;
    /// A fresh, empty one.
    fn build(capacity: usize) -> Self;
    /// A producer, if the engine allows one more.
    fn producer(&self) -> Option<Self::Push>;
    /// A consumer, if the engine allows one more.
    fn consumer(&self) -> Option<Self::Pop>;
    /// Closes it.
    fn close(&self);
    /// How often a call has gone to sleep.
    fn sleeps(&self) -> u64;
}

/// The producing calls. The wrong queues have the first only.
pub(crate) trait Push {
    /// `try_push`.
    fn try_push(&mut self, value: u64) -> Answer;
    /// `try_push_batch`; how many.
    fn try_push_batch(&mut self, _: &[u64]) -> (Answer, usize) {
        (Answer::Other, 0)
    }
    /// `try_claim`, then `commit`.
    fn claim_commit(&mut self, _: u64) -> Answer {
        Answer::Other
    }
    /// `push`.
    fn push(&mut self, _: u64) -> Answer {
        Answer::Other
    }
}

/// The consuming calls. The wrong queues have the first only.
pub(crate) trait Pop {
    /// `try_pop`; the value is 0 if there is none.
    fn try_pop(&mut self) -> (Answer, u64);
    /// `try_pop_batch` into a vector with room enough.
    fn try_pop_batch(&mut self, _: &mut Vec<u64>, _: usize) -> Answer {
        Answer::Other
    }
    /// `try_peek`, then `take`.
    fn peek_release(&mut self) -> (Answer, u64) {
        (Answer::Other, 0)
    }
    /// `pop`.
    fn pop(&mut self) -> (Answer, u64) {
        (Answer::Other, 0)
    }
}

fn refused<T>(error: &TryPushError<T>) -> Answer {
    match error {
        TryPushError::Full(_) => Answer::Full,
        TryPushError::Busy(_) => Answer::Busy,
        TryPushError::Closed(_) => Answer::Closed,
    }
}

impl From<TryPopError> for Answer {
    fn from(error: TryPopError) -> Self {
        match error {
            TryPopError::Empty => Self::Empty,
            TryPopError::Busy => Self::Busy,
            TryPopError::Closed => Self::Closed,
        }
    }
}

impl<S: Engine> Queue for Ring<u64, S> {
    type Push = Producer<u64, S>;
    type Pop = Consumer<u64, S>;
    fn build(capacity: usize) -> Self {
        let slow = SLOW.load(Ordering::Relaxed);
        Ring::with_options(&Options {
            capacity,
            patience: slow.then_some(0),
            ..Options::default()
        })
        .expect("memory for a small ring")
    }
    fn producer(&self) -> Option<Self::Push> {
        Ring::producer(self)
    }
    fn consumer(&self) -> Option<Self::Pop> {
        Ring::consumer(self)
    }
    fn close(&self) {
        Ring::close(self);
    }
    fn sleeps(&self) -> u64 {
        self.stats().waits
    }
}

/// A ring of engine `S` in shared memory. It has no name: it is unlinked as
/// soon as it is there.
#[derive(Debug)]
pub(crate) struct Shared<S>(Ring<u64, Any>, PhantomData<S>);

impl<S> Clone for Shared<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone(), PhantomData)
    }
}

impl<S: Engine> Queue for Shared<S> {
    type Push = Producer<u64, Any>;
    type Pop = Consumer<u64, Any>;
    fn build(capacity: usize) -> Self {
        let name = format!("/turtle-stall-{}", std::process::id());
        let options = Options {
            strategy: S::STRATEGY,
            capacity,
            path: Some(name.clone()),
            open: OpenMode::CreateNew,
            ..Options::default()
        };
        let ring = Ring::open(&options).expect("a fresh segment");
        Segment::unlink(&name).expect("just created");
        Self(ring, PhantomData)
    }
    fn producer(&self) -> Option<Self::Push> {
        self.0.producer()
    }
    fn consumer(&self) -> Option<Self::Pop> {
        self.0.consumer()
    }
    fn close(&self) {
        self.0.close();
    }
    fn sleeps(&self) -> u64 {
        self.0.stats().waits
    }
}

impl<S: Engine> Push for Producer<u64, S> {
    #[inline(always)]
    fn try_push(&mut self, value: u64) -> Answer {
        match Producer::try_push(self, value) {
            Ok(()) => Answer::Done,
            Err(error) => refused(&error),
        }
    }
    #[inline(always)]
    fn try_push_batch(&mut self, values: &[u64]) -> (Answer, usize) {
        match Producer::try_push_batch(self, &mut Batch::new(values.iter().copied())) {
            Ok(count) => (Answer::Done, count),
            Err(error) => (refused(&error), 0),
        }
    }
    #[inline(always)]
    fn claim_commit(&mut self, value: u64) -> Answer {
        match self.try_claim() {
            Ok(claim) => match claim.commit(value) {
                Ok(()) => Answer::Done,
                Err(error) => refused(&error),
            },
            Err(error) => refused(&error),
        }
    }
    #[inline(always)]
    fn push(&mut self, value: u64) -> Answer {
        match Producer::push(self, value) {
            Ok(()) => Answer::Done,
            Err(PushError::Closed(_)) => Answer::Closed,
            Err(_) => Answer::Other,
        }
    }
}

impl<S: Engine> Pop for Consumer<u64, S> {
    #[inline(always)]
    fn try_pop(&mut self) -> (Answer, u64) {
        match Consumer::try_pop(self) {
            Ok(value) => (Answer::Done, value),
            Err(error) => (error.into(), 0),
        }
    }
    #[inline(always)]
    fn try_pop_batch(&mut self, out: &mut Vec<u64>, most: usize) -> Answer {
        match Consumer::try_pop_batch(self, out, most) {
            Ok(_) => Answer::Done,
            Err(error) => error.into(),
        }
    }
    #[inline(always)]
    fn peek_release(&mut self) -> (Answer, u64) {
        match self.try_peek() {
            Ok(taken) => (Answer::Done, taken.take()),
            Err(error) => (error.into(), 0),
        }
    }
    #[inline(always)]
    fn pop(&mut self) -> (Answer, u64) {
        match Consumer::pop(self) {
            Ok(value) => (Answer::Done, value),
            Err(PopError::Closed) => (Answer::Closed, 0),
            Err(_) => (Answer::Other, 0),
        }
    }
}

/// The outcome of a push of one.
pub(crate) fn pushed(answer: Answer) -> Outcome {
    Outcome {
        answer,
        count: usize::from(answer == Answer::Done),
        values: Vec::new(),
    }
}

/// The outcome of a pop of one.
pub(crate) fn popped((answer, value): (Answer, u64)) -> Outcome {
    let values = if answer == Answer::Done {
        vec![value]
    } else {
        Vec::new()
    };
    Outcome {
        answer,
        count: values.len(),
        values,
    }
}
