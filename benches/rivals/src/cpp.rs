//! The C++ rivals, as loops compiled by the shim; absent when their headers were.

use std::ffi::c_void;

use crate::queue::{Arena, Sink, Source, Tally};

/// Why a C++ rival is not in this build: name and reason.
pub fn missing() -> Vec<(&'static str, &'static str)> {
    [
        ("moodycamel", env!("HAVE_MOODYCAMEL")),
        ("boost spsc_queue", env!("HAVE_BOOST")),
        ("boost queue", env!("HAVE_BOOST_QUEUE")),
        ("oneTBB", env!("HAVE_TBB")),
    ]
    .into_iter()
    .filter(|(_, reason)| !reason.is_empty())
    .collect()
}

/// Owner of one queue on the C++ side.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) queue: *mut c_void,
    pub(crate) free: unsafe extern "C" fn(*mut c_void),
}

// SAFETY: the C++ queues may be used from any thread; single-producer ones get one loop a side.
unsafe impl Sync for Handle {}
// SAFETY: nothing in them belongs to the thread that built them.
unsafe impl Send for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: `queue` came from the matching `new`; loops borrow the handle, so none runs now.
        unsafe { (self.free)(self.queue) }
    }
}

/// A worker's loop: a queue and the function that runs it.
#[derive(Debug)]
pub struct Loop<'a, F> {
    pub(crate) handle: &'a Handle,
    pub(crate) run: F,
}

pub(crate) type Produce = unsafe extern "C" fn(*mut c_void, u64, u64, usize);
pub(crate) type Consume = unsafe extern "C" fn(*mut c_void, u64, usize, bool) -> Tally;

impl Source for Loop<'_, Produce> {
    fn run(&mut self, producer: u64, items: u64, batch: usize) {
        assert!((1..=crate::queue::MAX_BATCH).contains(&batch));
        // SAFETY: the queue is alive while the handle is borrowed; `batch` fits the shim's buffer.
        unsafe { (self.run)(self.handle.queue, producer, items, batch) }
    }
}

impl Sink for Loop<'_, Consume> {
    fn run(&mut self, items: u64, batch: usize, producers: usize) -> Tally {
        assert!((1..=crate::queue::MAX_BATCH).contains(&batch));
        // SAFETY: as above.
        unsafe { (self.run)(self.handle.queue, items, batch, producers == 1) }
    }
}

/// Writes the Rust face of one shim queue.
#[allow(unused_macros, reason = "no header, no rival")]
macro_rules! shim_queue {
    ($(#[$doc:meta])* $name:ident, $open:expr, $free:ident, $produce:ident, $consume:ident, $pairs:ident) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $name(Handle);

        unsafe extern "C" {
            fn $free(queue: *mut c_void);
            fn $produce(queue: *mut c_void, producer: u64, items: u64, batch: usize);
            fn $consume(queue: *mut c_void, items: u64, batch: usize, one_producer: bool) -> Tally;
            fn $pairs(queue: *mut c_void, items: u64) -> u64;
        }

        impl Arena for $name {
            type Source<'a> = Loop<'a, Produce>;
            type Sink<'a> = Loop<'a, Consume>;

            fn with_capacity(capacity: usize) -> Self {
                let open: fn(usize) -> *mut c_void = $open;
                Self(Handle { queue: open(capacity), free: $free })
            }
            fn source(&self) -> Self::Source<'_> {
                Loop { handle: &self.0, run: $produce }
            }
            fn sink(&self) -> Self::Sink<'_> {
                Loop { handle: &self.0, run: $consume }
            }
            fn pairs(&self, items: u64) -> u64 {
                // SAFETY: the queue is alive while `self` is borrowed; one thread uses it.
                unsafe { $pairs(self.0.queue, items) }
            }
        }
    };
}

#[cfg(have_moodycamel)]
mod moody {
    use super::*;

    unsafe extern "C" {
        fn rivals_moody_new(capacity: usize) -> *mut c_void;
    }

    shim_queue!(
        /// moodycamel `ConcurrentQueue` with tokens: unbounded, in order per producer only.
        Moodycamel,
        // SAFETY: takes any capacity.
        |capacity| unsafe { rivals_moody_new(capacity) },
        rivals_moody_free,
        rivals_moody_produce,
        rivals_moody_consume,
        rivals_moody_pairs
    );
}
#[cfg(have_moodycamel)]
pub use moody::Moodycamel;

#[cfg(have_boost)]
mod boost {
    use super::*;

    unsafe extern "C" {
        fn rivals_boost_capacity() -> usize;
        fn rivals_boost_new() -> *mut c_void;
    }

    shim_queue!(
        /// `boost::lockfree::spsc_queue` of a fixed capacity of 1024.
        Boost,
        |capacity| {
            // SAFETY: no preconditions.
            assert_eq!(capacity, unsafe { rivals_boost_capacity() }, "fixed when compiled");
            // SAFETY: no preconditions.
            unsafe { rivals_boost_new() }
        },
        rivals_boost_free,
        rivals_boost_produce,
        rivals_boost_consume,
        rivals_boost_pairs
    );
}
#[cfg(have_boost)]
pub use boost::Boost;

#[cfg(have_boost_queue)]
mod boost_queue {
    use super::*;

    unsafe extern "C" {
        fn rivals_boost_queue_capacity() -> usize;
        fn rivals_boost_queue_new() -> *mut c_void;
    }

    shim_queue!(
        /// `boost::lockfree::queue` of a fixed capacity of 1024: many to many, single items only.
        BoostQueue,
        |capacity| {
            // SAFETY: no preconditions.
            assert_eq!(capacity, unsafe { rivals_boost_queue_capacity() }, "fixed when compiled");
            // SAFETY: no preconditions.
            unsafe { rivals_boost_queue_new() }
        },
        rivals_boost_queue_free,
        rivals_boost_queue_produce,
        rivals_boost_queue_consume,
        rivals_boost_queue_pairs
    );
}
#[cfg(have_boost_queue)]
pub use boost_queue::BoostQueue;

#[cfg(have_tbb)]
mod tbb {
    use super::*;

    unsafe extern "C" {
        fn rivals_tbb_new(capacity: usize) -> *mut c_void;
    }

    shim_queue!(
        /// oneTBB `concurrent_bounded_queue`: many to many, single items only.
        Tbb,
        // SAFETY: takes any capacity.
        |capacity| unsafe { rivals_tbb_new(capacity) },
        rivals_tbb_free,
        rivals_tbb_produce,
        rivals_tbb_consume,
        rivals_tbb_pairs
    );
}
#[cfg(have_tbb)]
pub use tbb::Tbb;

#[cfg(all(test, any(have_moodycamel, have_boost, have_boost_queue, have_tbb)))]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn carries<A: Arena>() {
        for batch in [1, 64] {
            let arena = A::with_capacity(1024);
            let (mut source, mut sink) = (arena.source(), arena.sink());
            let tally = std::thread::scope(|scope| {
                scope.spawn(move || source.run(3, 10_000, batch));
                sink.run(10_000, batch, 1)
            });
            assert_eq!((tally.count, tally.disorder), (10_000, 0), "batch {batch}");
            assert_eq!(
                tally.sum,
                10_000 * (3 << 32) + 10_000 * 9_999 / 2,
                "batch {batch}"
            );
        }
        assert_eq!(A::with_capacity(1024).pairs(100), 100 * 99 / 2);
    }

    #[test]
    fn shim_queues_carry_items_in_order() {
        #[cfg(have_moodycamel)]
        carries::<Moodycamel>();
        #[cfg(have_boost)]
        carries::<Boost>();
        #[cfg(have_boost_queue)]
        carries::<BoostQueue>();
        #[cfg(have_tbb)]
        carries::<Tbb>();
    }
}
