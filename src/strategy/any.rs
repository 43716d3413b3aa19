//! The engine chosen at run time: one variant a strategy, made from the table.
//!
//! A call costs one predictable branch more than the engine itself; what
//! cannot afford that names its engine, `Ring<T, Spsc>`.

use std::alloc::Layout;
use std::ptr::NonNull;

use super::{
    Arity, Direction, Engine, Geometry, Lease, Left, PopRefusal, PushRefusal, RawRing, Shape,
    Standing, Strategy, Traits,
};
use crate::error::BuildError;
use crate::for_each_strategy;

macro_rules! define {
    ($(($variant:ident, $module:ident, $engine:ident),)+) => {
        /// A view of a ring of any strategy.
        #[derive(Debug)]
        pub enum AnyRing<Sh: Shape> {
            $(
                #[doc = concat!("See [`", stringify!($module), "`](super::", stringify!($module), ").")]
                $variant(<super::$module::$engine as Engine>::Raw<Sh>),
            )+
        }

        /// A producer's state, of any strategy.
        #[derive(Debug)]
        pub enum AnyProducer<Sh: Shape> {
            $(
                #[doc = concat!("See [`", stringify!($module), "`](super::", stringify!($module), ").")]
                $variant(<<super::$module::$engine as Engine>::Raw<Sh> as RawRing<Sh>>::Producer),
            )+
        }

        /// A consumer's state, of any strategy.
        #[derive(Debug)]
        pub enum AnyConsumer<Sh: Shape> {
            $(
                #[doc = concat!("See [`", stringify!($module), "`](super::", stringify!($module), ").")]
                $variant(<<super::$module::$engine as Engine>::Raw<Sh> as RawRing<Sh>>::Consumer),
            )+
        }

        impl<Sh: Shape> Clone for AnyRing<Sh> {
            fn clone(&self) -> Self {
                match self { $(Self::$variant(ring) => Self::$variant(ring.clone()),)+ }
            }
        }

        impl<Sh: Shape> AnyRing<Sh> {
            /// Which strategy this is.
            #[must_use]
            pub fn strategy(&self) -> Strategy {
                match self { $(Self::$variant(_) => Strategy::$variant,)+ }
            }

            /// Bytes that `strategy` needs for this geometry.
            pub fn footprint_of(
                strategy: Strategy,
                geometry: &Geometry<Sh>,
            ) -> Result<Layout, BuildError> {
                match strategy {
                    $(Strategy::$variant =>
                        <super::$module::$engine as Engine>::Raw::<Sh>::footprint(geometry),)+
                }
            }

            /// As [`RawRing::init`], for `strategy`.
            ///
            /// # Safety
            /// As there.
            pub unsafe fn init_as(strategy: Strategy, at: NonNull<u8>, geometry: &Geometry<Sh>) {
                match strategy {
                    // SAFETY: the caller's promise is the same.
                    $(Strategy::$variant => unsafe {
                        <super::$module::$engine as Engine>::Raw::<Sh>::init(at, geometry);
                    },)+
                }
            }

            /// As [`RawRing::attach`], for `strategy`.
            ///
            /// # Safety
            /// As there, and the ring is of this strategy.
            pub unsafe fn attach_as(
                strategy: Strategy,
                at: NonNull<u8>,
                geometry: &Geometry<Sh>,
            ) -> Self {
                match strategy {
                    // SAFETY: the caller's promise is the same.
                    $(Strategy::$variant => Self::$variant(unsafe {
                        <super::$module::$engine as Engine>::Raw::<Sh>::attach(at, geometry)
                    }),)+
                }
            }
        }

        macro_rules! each {
            ($ring:expr, |$r:ident| $body:expr) => {
                match $ring { $(AnyRing::$variant($r) => $body,)+ }
            };
            ($ring:expr, $kind:ident $side:expr, |$r:ident, $s:ident| $body:expr) => {
                match ($ring, $side) {
                    $((AnyRing::$variant($r), $kind::$variant($s)) => $body,)+
                    #[allow(unreachable_patterns)] // reached only with two strategies or more
                    _ => unreachable!("a side of one ring used with a ring of another strategy"),
                }
            };
            (new $kind:ident $ring:expr, |$r:ident| $body:expr) => {
                match $ring { $(AnyRing::$variant($r) => $kind::$variant($body),)+ }
            };
        }

        // SAFETY: every method is the chosen engine's.
        #[allow(clippy::undocumented_unsafe_blocks)] // each forwards its own contract, word for word
        unsafe impl<Sh: Shape> RawRing<Sh> for AnyRing<Sh> {
            const TRAITS: Traits = Traits {
                name: "any",
                producers: Arity::Many,
                consumers: Arity::Many,
                returns: "as the chosen strategy",
                stopped_thread: "as the chosen strategy",
                survives_kill: false,
                shared: true,
                records: true,
                source: "strategy::any",
                steps: &[],
            };
            type Producer = AnyProducer<Sh>;
            type Consumer = AnyConsumer<Sh>;

            fn traits(&self) -> Traits {
                each!(self, |r| r.traits())
            }

            fn footprint(geometry: &Geometry<Sh>) -> Result<Layout, BuildError> {
                Self::footprint_of(Strategy::default(), geometry)
            }
            unsafe fn init(at: NonNull<u8>, geometry: &Geometry<Sh>) {
                unsafe { Self::init_as(Strategy::default(), at, geometry) }
            }
            unsafe fn attach(at: NonNull<u8>, geometry: &Geometry<Sh>) -> Self {
                unsafe { Self::attach_as(Strategy::default(), at, geometry) }
            }
            unsafe fn finish(&self) {
                each!(self, |r| unsafe { r.finish() })
            }
            fn capacity(&self) -> usize {
                each!(self, |r| r.capacity())
            }
            fn positions(&self) -> (u64, u64) {
                each!(self, |r| r.positions())
            }
            fn new_producer(&self) -> Result<AnyProducer<Sh>, BuildError> {
                Ok(each!(new AnyProducer self, |r| r.new_producer()?))
            }
            fn new_consumer(&self) -> Result<AnyConsumer<Sh>, BuildError> {
                Ok(each!(new AnyConsumer self, |r| r.new_consumer()?))
            }
            fn places(&self) -> usize {
                each!(self, |r| r.places())
            }
            fn standing(&self, direction: Direction, place: usize) -> (Standing, u64) {
                each!(self, |r| r.standing(direction, place))
            }
            unsafe fn recover(&self, direction: Direction, place: usize) -> Left {
                each!(self, |r| unsafe { r.recover(direction, place) })
            }
            unsafe fn producer_at(&self, place: usize, session: u64) -> AnyProducer<Sh> {
                each!(new AnyProducer self, |r| unsafe { r.producer_at(place, session) })
            }
            unsafe fn consumer_at(&self, place: usize, session: u64) -> AnyConsumer<Sh> {
                each!(new AnyConsumer self, |r| unsafe { r.consumer_at(place, session) })
            }
            unsafe fn take_orphans(
                &self,
                place: usize,
                n: usize,
                read: impl FnMut(*mut u8),
            ) -> usize {
                each!(self, |r| unsafe { r.take_orphans(place, n, read) })
            }
            unsafe fn forget(&self, direction: Direction, place: usize) {
                each!(self, |r| unsafe { r.forget(direction, place) })
            }
            fn audit(&self) -> Result<(), String> {
                each!(self, |r| r.audit())
            }
            fn helps(&self) -> u64 {
                each!(self, |r| r.helps())
            }
            #[inline(always)]
            unsafe fn try_claim(&self, side: &mut AnyProducer<Sh>) -> Result<Lease, PushRefusal> {
                each!(self, AnyProducer side, |r, s| unsafe { r.try_claim(s) })
            }
            #[inline(always)]
            unsafe fn try_commit(
                &self,
                side: &mut AnyProducer<Sh>,
                claim: Lease,
            ) -> Result<(), (Lease, PushRefusal)> {
                each!(self, AnyProducer side, |r, s| unsafe { r.try_commit(s, claim) })
            }
            unsafe fn abandon(&self, side: &mut AnyProducer<Sh>, claim: Lease) {
                each!(self, AnyProducer side, |r, s| unsafe { r.abandon(s, claim) })
            }
            #[inline(always)]
            unsafe fn try_take(&self, side: &mut AnyConsumer<Sh>) -> Result<Lease, PopRefusal> {
                each!(self, AnyConsumer side, |r, s| unsafe { r.try_take(s) })
            }
            #[inline(always)]
            unsafe fn try_take_if(
                &self,
                side: &mut AnyConsumer<Sh>,
                accept: impl FnMut(*mut u8) -> bool,
            ) -> Result<Option<Lease>, PopRefusal> {
                each!(self, AnyConsumer side, |r, s| unsafe { r.try_take_if(s, accept) })
            }
            #[inline(always)]
            unsafe fn release(&self, side: &mut AnyConsumer<Sh>, taken: Lease) {
                each!(self, AnyConsumer side, |r, s| unsafe { r.release(s, taken) })
            }
            #[inline]
            unsafe fn push_run(
                &self,
                side: &mut AnyProducer<Sh>,
                n: usize,
                fill: impl FnMut(*mut u8) -> bool,
                back: impl FnMut(*mut u8),
            ) -> Result<usize, PushRefusal> {
                each!(self, AnyProducer side, |r, s| unsafe { r.push_run(s, n, fill, back) })
            }
            #[inline]
            unsafe fn pop_run(
                &self,
                side: &mut AnyConsumer<Sh>,
                n: usize,
                read: impl FnMut(*mut u8),
            ) -> Result<usize, PopRefusal> {
                each!(self, AnyConsumer side, |r, s| unsafe { r.pop_run(s, n, read) })
            }
            #[inline]
            unsafe fn push_copies(
                &self,
                side: &mut AnyProducer<Sh>,
                from: *const u8,
                n: usize,
                size: usize,
            ) -> Result<usize, PushRefusal> {
                each!(self, AnyProducer side, |r, s| unsafe { r.push_copies(s, from, n, size) })
            }
            #[inline]
            unsafe fn pop_copies(
                &self,
                side: &mut AnyConsumer<Sh>,
                to: *mut u8,
                n: usize,
                size: usize,
            ) -> Result<usize, PopRefusal> {
                each!(self, AnyConsumer side, |r, s| unsafe { r.pop_copies(s, to, n, size) })
            }
            fn note_claim(&self, side: &mut AnyProducer<Sh>) {
                each!(self, AnyProducer side, |r, s| r.note_claim(s))
            }
            fn note_take(&self, side: &mut AnyConsumer<Sh>) {
                each!(self, AnyConsumer side, |r, s| r.note_take(s))
            }
            unsafe fn claim_at(&self, side: &mut AnyProducer<Sh>, payload: *mut u8) -> Option<Lease> {
                each!(self, AnyProducer side, |r, s| unsafe { r.claim_at(s, payload) })
            }
            unsafe fn taken_at(&self, side: &mut AnyConsumer<Sh>, payload: *mut u8) -> Option<Lease> {
                each!(self, AnyConsumer side, |r, s| unsafe { r.taken_at(s, payload) })
            }
            fn seal(&self) -> bool {
                each!(self, |r| r.seal())
            }
            fn is_sealed(&self) -> bool {
                each!(self, |r| r.is_sealed())
            }
            fn do_without_barrier(&self, no_producer: impl Fn() -> bool) -> bool {
                each!(self, |r| r.do_without_barrier(no_producer))
            }
            unsafe fn for_each_left(&self, f: impl FnMut(*mut u8)) {
                each!(self, |r| unsafe { r.for_each_left(f) })
            }
        }
    };
}
for_each_strategy!(define);

/// The engine that is chosen when the ring is built.
#[derive(Clone, Copy, Debug)]
pub struct Any;

impl Engine for Any {
    type Raw<Sh: Shape> = AnyRing<Sh>;
    const STRATEGY: Option<Strategy> = None;
}
