//! Asynchronous calls: `push_async`, `pop_async`, `stream`. Any executor.
//!
//! A waiter announces itself at the same bench as a sleeping thread and
//! registers its waker with an `event_listener::Event`; whoever publishes
//! notifies it. Cancelling is dropping the future: nothing has been taken, and
//! a notification it had received passes to the next waiter. In shared memory,
//! where a peer cannot call this process's wakers, two watcher threads a ring
//! do.
//!
//! Waking a task takes a lock (`event-listener`'s), so a thread that is stopped
//! while it does so holds up the others that have to. A ring without tasks
//! never takes it.
#![allow(clippy::disallowed_types)] // one flag; its order is argued on the spot

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::{Context, Poll};

use event_listener::{Event, EventListener, IntoNotification};
use futures_core::Stream;

use crate::error::{PopError, PushError, TryPopError, TryPushError};
use crate::ring::{Consumer, Producer};
use crate::strategy::Engine;

/// The tasks of this process that wait on one side of a ring.
#[derive(Debug, Default)]
pub(crate) struct Tasks {
    event: Event,
    /// There has been one. Before that nobody touches the event's lock.
    used: AtomicBool,
}

impl Tasks {
    /// Joins them. Announce it at the bench afterwards, then look again.
    pub(crate) fn listen(&self) -> EventListener {
        self.used.store(true, Ordering::Relaxed);
        // ORDER: seq_cst, pairs with `notify_all`: of a closer and a task that
        // each did something and then look at the other, one sees it. A waker
        // that acquires the announcement sees the flag anyway.
        fence(Ordering::SeqCst);
        self.event.listen()
    }

    /// Wakes up to `n` that have not been woken for another element yet;
    /// answers how many. Call it after acquiring the bench's announcements.
    pub(crate) fn notify_more(&self, n: usize) -> usize {
        if self.used.load(Ordering::Relaxed) {
            self.event.notify(n.additional())
        } else {
            0
        }
    }

    /// Wakes all of them, after whatever the caller did before.
    pub(crate) fn notify_all(&self) {
        fence(Ordering::SeqCst); // as in `listen`
        if self.used.load(Ordering::Relaxed) {
            self.event.notify(usize::MAX);
        }
    }
}

impl<T: Send + 'static, S: Engine> Producer<T, S> {
    /// Appends `value`, waiting without blocking the thread while the ring is full.
    ///
    /// # Errors
    /// `Closed`, with the value. A cancelled call has pushed nothing; its
    /// value is dropped with the future.
    pub fn push_async(&mut self, value: T) -> PushAsync<'_, T, S> {
        PushAsync {
            producer: self,
            value: Some(value),
            listener: None,
        }
    }
}

impl<T: Send + 'static, S: Engine> Consumer<T, S> {
    /// Takes the oldest element, waiting without blocking the thread while
    /// the ring is empty.
    ///
    /// # Errors
    /// `Closed` once the ring is closed and drained. A cancelled call has
    /// taken nothing.
    pub fn pop_async(&mut self) -> PopAsync<'_, T, S> {
        PopAsync {
            consumer: self,
            listener: None,
        }
    }

    /// The elements as a stream, which ends when the ring is closed and drained.
    pub fn stream(&mut self) -> PopStream<'_, T, S> {
        PopStream {
            consumer: self,
            listener: None,
        }
    }
}

/// A call that waits in a future.
trait Waiting {
    type Done;
    /// The call itself, once.
    fn attempt(&mut self) -> Option<Self::Done>;
    /// Joins those who wait, and announces it.
    fn join(&self) -> EventListener;
    /// Wakes the next one if there is something for it.
    fn pass_on(&self);
}

fn poll<W: Waiting>(
    call: &mut W,
    listener: &mut Option<EventListener>,
    context: &mut Context<'_>,
) -> Poll<W::Done> {
    let mut woken = false;
    loop {
        if let Some(done) = call.attempt() {
            // A wake-up that has not been looked at passes to the next by this.
            *listener = None;
            // One that has been: as in `Core::block_pop`, what it was for may
            // still be there.
            if woken {
                call.pass_on();
            }
            return Poll::Ready(done);
        }
        match listener {
            None => *listener = Some(call.join()),
            Some(waiting) => match Pin::new(waiting).poll(context) {
                Poll::Ready(()) => {
                    *listener = None;
                    woken = true;
                }
                Poll::Pending => return Poll::Pending,
            },
        }
    }
}

struct Popping<'a, T: Send + 'static, S: Engine>(&'a mut Consumer<T, S>);

impl<T: Send + 'static, S: Engine> Waiting for Popping<'_, T, S> {
    type Done = Result<T, PopError>;

    fn attempt(&mut self) -> Option<Self::Done> {
        let mut outcome = self.0.try_pop();
        if matches!(outcome, Err(TryPopError::Empty | TryPopError::Busy))
            && self.0.core().finish_closing()
        {
            outcome = self.0.try_pop();
        }
        match outcome {
            Ok(value) => Some(Ok(value)),
            Err(TryPopError::Closed) => Some(Err(PopError::Closed)),
            Err(TryPopError::Empty | TryPopError::Busy) => None,
        }
    }

    fn join(&self) -> EventListener {
        let core = self.0.core();
        let listener = core.pop_event.listen();
        core.watch();
        core.benches().pop.announce(core.is_shared());
        listener
    }

    fn pass_on(&self) {
        self.0.core().pass_on_elements();
    }
}

struct Pushing<'a, T: Send + 'static, S: Engine> {
    producer: &'a mut Producer<T, S>,
    value: &'a mut Option<T>,
}

impl<T: Send + 'static, S: Engine> Waiting for Pushing<'_, T, S> {
    type Done = Result<(), PushError<T>>;

    fn attempt(&mut self) -> Option<Self::Done> {
        let value = self.value.take().expect("not polled after it was ready");
        match self.producer.try_push(value) {
            Ok(()) => Some(Ok(())),
            Err(TryPushError::Closed(value)) => Some(Err(PushError::Closed(value))),
            Err(error) => {
                *self.value = Some(error.into_inner());
                None
            }
        }
    }

    fn join(&self) -> EventListener {
        let core = self.producer.core();
        let listener = core.push_event.listen();
        core.watch();
        core.benches().push.announce(core.is_shared());
        listener
    }

    fn pass_on(&self) {
        self.producer.core().pass_on_room();
    }
}

/// See [`Producer::push_async`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct PushAsync<'a, T: Send + 'static, S: Engine> {
    producer: &'a mut Producer<T, S>,
    value: Option<T>,
    listener: Option<EventListener>,
}

// No field is pinned by its address.
impl<T: Send + 'static, S: Engine> Unpin for PushAsync<'_, T, S> {}

impl<T: Send + 'static, S: Engine> Future for PushAsync<'_, T, S> {
    type Output = Result<(), PushError<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let mut call = Pushing {
            producer: this.producer,
            value: &mut this.value,
        };
        poll(&mut call, &mut this.listener, context)
    }
}

/// See [`Consumer::pop_async`].
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct PopAsync<'a, T: Send + 'static, S: Engine> {
    consumer: &'a mut Consumer<T, S>,
    listener: Option<EventListener>,
}

impl<T: Send + 'static, S: Engine> Unpin for PopAsync<'_, T, S> {}

impl<T: Send + 'static, S: Engine> Future for PopAsync<'_, T, S> {
    type Output = Result<T, PopError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        poll(&mut Popping(this.consumer), &mut this.listener, context)
    }
}

/// See [`Consumer::stream`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct PopStream<'a, T: Send + 'static, S: Engine> {
    consumer: &'a mut Consumer<T, S>,
    listener: Option<EventListener>,
}

impl<T: Send + 'static, S: Engine> Unpin for PopStream<'_, T, S> {}

impl<T: Send + 'static, S: Engine> Stream for PopStream<'_, T, S> {
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        poll(&mut Popping(this.consumer), &mut this.listener, context).map(Result::ok)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    use super::*;

    struct Nobody;
    impl Wake for Nobody {
        fn wake(self: Arc<Self>) {}
    }

    /// A call that is refused so many times; while it is for the last time, the
    /// other side makes it possible and notifies.
    struct Scripted {
        event: Event,
        refusals: usize,
        passed_on: Cell<usize>,
    }

    impl Waiting for Scripted {
        type Done = ();
        fn attempt(&mut self) -> Option<()> {
            if self.refusals == 0 {
                return Some(());
            }
            self.refusals -= 1;
            if self.refusals == 0 {
                self.event.notify(1.additional());
            }
            None
        }
        fn join(&self) -> EventListener {
            self.event.listen()
        }
        fn pass_on(&self) {
            self.passed_on.set(self.passed_on.get() + 1);
        }
    }

    /// Whether it was ready, and how often it passed a wake-up on.
    fn polled(call: &mut Scripted, listener: &mut Option<EventListener>) -> (bool, usize) {
        let waker = Waker::from(Arc::new(Nobody));
        let ready = poll(call, listener, &mut Context::from_waker(&waker)).is_ready();
        (ready, call.passed_on.get())
    }

    #[test]
    fn a_wake_up_is_passed_on_once_however_it_was_met() {
        let call = |refusals| Scripted {
            event: Event::new(),
            refusals,
            passed_on: Cell::new(0),
        };
        // Nothing to wait for.
        assert_eq!(polled(&mut call(0), &mut None), (true, 0));
        // Notified between the second refusal and the look at the listener,
        // which uses the wake-up up.
        assert_eq!(polled(&mut call(2), &mut None), (true, 1));
        // Notified between two polls, and done before the listener is looked
        // at: the listener itself passes the wake-up on.
        let mut first = call(usize::MAX);
        let mut listener = None;
        assert_eq!(polled(&mut first, &mut listener), (false, 0));
        let mut next = first.event.listen();
        first.event.notify(1.additional());
        first.refusals = 0;
        assert_eq!(polled(&mut first, &mut listener), (true, 0));
        let waker = Waker::from(Arc::new(Nobody));
        let passed = Pin::new(&mut next).poll(&mut Context::from_waker(&waker));
        assert!(passed.is_ready());
    }
}
