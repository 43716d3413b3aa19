//! Sessions: participants that are known again after they died.
//!
//! An engine that keeps a record of each participant can tell afterwards, to
//! the element, how many of its pushes (pops) took effect. A participant that
//! names itself by a *session*, any number but 0, learns that when it comes
//! back: a producer goes on behind the last element that arrived, without loss
//! or duplicate, whatever instruction it died at.
//!
//! ```text
//! let (mut producer, was) = ring.producer_as(7)?;
//! for line in lines.skip(was.done) { producer.push(line)?; }
//! ```

use super::{Consumer, Plain, Producer, Ring};
use crate::error::BuildError;
use crate::strategy::any::Any;
use crate::strategy::{Direction, Engine, Left};

/// What a participant learns that opens its session again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recovered<T> {
    /// Elements that were pushed (popped) under this session so far, by whoever
    /// had it, exactly. 0: the session is new.
    pub done: u64,
    /// The last one that had it did not give it back: it was killed, or ended
    /// without dropping its handle.
    pub died: bool,
    /// Of a consumer: elements that the last one had taken, oldest first, of
    /// which nobody knows whether it used them. They count in `done`, and are
    /// handed out this once.
    pub orphans: Vec<T>,
}

impl<T> Recovered<T> {
    pub(crate) fn new(left: Left, orphans: Vec<T>) -> Self {
        Self {
            done: left.done,
            died: left.died,
            orphans,
        }
    }
}

impl<T: Plain> Ring<T, Any> {
    /// A producer that is known by `session`, and what became of the session's
    /// pushes so far. As long as this handle lives nobody else has the session,
    /// in no process; dropped in order or killed, the next one goes on.
    ///
    /// A session keeps its place, one of `max_threads`, until
    /// [`forget_session`](Self::forget_session). In a forked child the handle is
    /// the parent's and answers `Closed`.
    ///
    /// ```no_run
    /// use turtle_buffers::RingBuffer;
    /// let ring = RingBuffer::<u64>::builder().open("/numbers")?;
    /// let (mut producer, was) = ring.producer_as(7)?;
    /// for number in was.done..1000 {
    ///     producer.push(number).unwrap(); // each once, however often this is killed and started
    /// }
    /// # Ok::<(), turtle_buffers::BuildError>(())
    /// ```
    ///
    /// # Errors
    /// `NoHandle` while its owner is alive, or when there is no free place;
    /// `Unsupported` for a private ring, or an engine that keeps no record of its
    /// participants; `Invalid` for session 0; `Io`.
    pub fn producer_as(&self, session: u64) -> Result<(Producer<T>, Recovered<T>), BuildError> {
        let (side, role, left) = self.core.producer_as(session)?;
        Ok((
            self.producer_with(side, role),
            Recovered::new(left, Vec::new()),
        ))
    }

    /// A consumer that is known by `session`; see [`producer_as`](Self::producer_as).
    /// The numbers of producers' and consumers' sessions are apart.
    ///
    /// # Errors
    /// As there.
    pub fn consumer_as(&self, session: u64) -> Result<(Consumer<T>, Recovered<T>), BuildError> {
        let mut orphans = Vec::new();
        // SAFETY: an element that was pushed, or what somebody wrote over it;
        // any bytes are a valid `T`.
        let read = |slot: *mut u8| orphans.push(unsafe { slot.cast::<T>().read() });
        let (side, role, left) = self.core.consumer_as(session, read)?;
        Ok((
            self.consumer_with(side, role),
            Recovered::new(left, orphans),
        ))
    }

    /// Ends a session that nobody has now: its count is forgotten and its place
    /// is free.
    ///
    /// # Errors
    /// `NotFound`; `NoHandle` while its owner is alive; `Invalid` while elements
    /// wait for its next consumer; `Unsupported` and `Io` as for `producer_as`.
    pub fn forget_session(&self, direction: Direction, session: u64) -> Result<(), BuildError> {
        self.core.forget_session(direction, session)
    }

    /// Elements that consumers without a session had taken when they died, of
    /// which nobody knows whether they were used. Each is handed out once, to
    /// whoever asks; until then they keep the places of their consumers.
    #[must_use]
    pub fn take_orphans(&self) -> Vec<T> {
        let mut orphans = Vec::new();
        // SAFETY: as in `consumer_as`.
        let read = |slot: *mut u8| orphans.push(unsafe { slot.cast::<T>().read() });
        self.core.take_orphans(usize::MAX, read);
        orphans
    }
}

impl<T, S: Engine> Ring<T, S> {
    /// Looks for participants that died, and puts right what they left; answers
    /// how many it found. Nobody has to call it: who waits looks about every
    /// 50 ms, and so does who finds no free place. 0 for private rings and for
    /// engines that keep no record of their participants. A stopped participant
    /// is not dead.
    ///
    /// Never waits; a system call for each participant of another process.
    pub fn reclaim(&self) -> usize {
        self.core.reclaim()
    }
}
