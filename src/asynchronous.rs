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
use std::sync::Arc;
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

fn poll_pop<T: Send + 'static, S: Engine>(
    consumer: &mut Consumer<T, S>,
    listener: &mut Option<EventListener>,
    context: &mut Context<'_>,
) -> Poll<Result<T, PopError>> {
    loop {
        let mut outcome = consumer.try_pop();
        if matches!(outcome, Err(TryPopError::Empty | TryPopError::Busy))
            && consumer.core().finish_closing()
        {
            outcome = consumer.try_pop();
        }
        match outcome {
            Ok(value) => {
                *listener = None;
                return Poll::Ready(Ok(value));
            }
            Err(TryPopError::Closed) => return Poll::Ready(Err(PopError::Closed)),
            Err(TryPopError::Empty | TryPopError::Busy) => {}
        }
        match listener {
            None => {
                let core = Arc::clone(consumer.core());
                *listener = Some(core.pop_event.listen());
                core.watch();
                core.benches().pop.announce(core.is_shared());
            }
            Some(waiting) => match Pin::new(waiting).poll(context) {
                Poll::Ready(()) => *listener = None,
                Poll::Pending => return Poll::Pending,
            },
        }
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
        loop {
            let value = this.value.take().expect("not polled after it was ready");
            match this.producer.try_push(value) {
                Ok(()) => return Poll::Ready(Ok(())),
                Err(TryPushError::Closed(value)) => {
                    return Poll::Ready(Err(PushError::Closed(value)));
                }
                Err(error) => this.value = Some(error.into_inner()),
            }
            match &mut this.listener {
                None => {
                    let core = Arc::clone(this.producer.core());
                    this.listener = Some(core.push_event.listen());
                    core.watch();
                    core.benches().push.announce(core.is_shared());
                }
                Some(waiting) => match Pin::new(waiting).poll(context) {
                    Poll::Ready(()) => this.listener = None,
                    Poll::Pending => return Poll::Pending,
                },
            }
        }
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
        poll_pop(this.consumer, &mut this.listener, context)
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
        poll_pop(this.consumer, &mut this.listener, context).map(Result::ok)
    }
}
