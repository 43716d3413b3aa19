//! turtle through its C interface, as a program meets it that loads `libturtle.so`: nothing is inlined
//! across the border, and the element's size is known at run time only.

use std::ffi::{CString, c_char, c_int, c_uint, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::sync::OnceLock;

use crate::queue::{Arena, Checker, Item, Sink, Source, Tally, Wait, places};

#[repr(C)]
struct Calls {
    ring: *mut c_void,
    try_push: unsafe extern "C" fn(*mut c_void, *const c_void) -> i32,
    try_pop: unsafe extern "C" fn(*mut c_void, *mut c_void) -> i32,
    free: unsafe extern "C" fn(*mut c_void),
}

unsafe extern "C" {
    fn rivals_c_library(library: *const c_char) -> c_int;
    fn rivals_c_open(
        library: *const c_char,
        strategy: c_uint,
        capacity: usize,
        elem_size: usize,
        out: *mut Calls,
    ) -> c_int;
}

/// The library: `TURTLE_LIBRARY`, or the one that `cargo build --release -p turtle-c` leaves.
pub(crate) fn library() -> &'static CString {
    static PATH: OnceLock<CString> = OnceLock::new();
    PATH.get_or_init(|| {
        let path = std::env::var("TURTLE_LIBRARY").unwrap_or_else(|_| {
            concat!(
                env!("CARGO_MANIFEST_DIR"),
                "/../../target/release/libturtle.so"
            )
            .to_owned()
        });
        CString::new(path).expect("a path without a zero byte")
    })
}

/// Whether the library is there; if not, the reason stands on stderr.
#[must_use]
pub fn present() -> bool {
    static PRESENT: OnceLock<bool> = OnceLock::new();
    // SAFETY: a text that ends with a zero byte.
    *PRESENT.get_or_init(|| unsafe { rivals_c_library(library().as_ptr()) != 0 })
}

/// A ring of the strategy with this number, for elements of `T`'s size.
pub struct CRing<T, const STRATEGY: u32>(Calls, PhantomData<fn(T) -> T>);

// SAFETY: any thread may call with a `turtle_buffer *`.
unsafe impl<T, const STRATEGY: u32> Sync for CRing<T, STRATEGY> {}

impl<T, const STRATEGY: u32> Drop for CRing<T, STRATEGY> {
    fn drop(&mut self) {
        // SAFETY: opened here, and nobody uses it any more.
        unsafe { (self.0.free)(self.0.ring) };
    }
}

impl<T: Item, const STRATEGY: u32> CRing<T, STRATEGY> {
    #[inline(always)]
    fn push(&self, item: &T) {
        let mut wait = Wait::new();
        // SAFETY: the ring is open; the element has the size that it was opened with.
        while unsafe { (self.0.try_push)(self.0.ring, std::ptr::from_ref(item).cast()) } != 0 {
            wait.pause();
        }
    }

    #[inline(always)]
    fn pop(&self, item: &mut T) {
        let mut wait = Wait::new();
        // SAFETY: as above; any bytes make an item.
        while unsafe { (self.0.try_pop)(self.0.ring, std::ptr::from_mut(item).cast()) } != 0 {
            wait.pause();
        }
    }
}

impl<T: Item, const STRATEGY: u32> Source for &CRing<T, STRATEGY> {
    #[inline(never)]
    fn run(&mut self, producer: u64, items: u64, batch: usize) {
        assert_eq!(batch, 1, "rows of single elements only");
        let mut item = T::BLANK;
        for sequence in 0..items {
            item.stamp(producer << 32 | sequence);
            self.push(&item);
        }
    }
}

impl<T: Item, const STRATEGY: u32> Sink for &CRing<T, STRATEGY> {
    #[inline(never)]
    fn run(&mut self, items: u64, batch: usize, producers: usize) -> Tally {
        assert_eq!((batch, producers), (1, 1), "rows of one producer only");
        let mut checker = Checker::<{ places::ONE }>::default();
        let mut item = T::BLANK;
        while checker.count() < items {
            self.pop(&mut item);
            checker.take(&item);
        }
        checker.tally()
    }
}

impl<T: Item, const STRATEGY: u32> Arena for CRing<T, STRATEGY> {
    type Source<'a> = &'a Self;
    type Sink<'a> = &'a Self;

    fn with_capacity(capacity: usize) -> Self {
        let mut calls = MaybeUninit::uninit();
        // SAFETY: the shim fills the struct when it answers 0.
        let calls = unsafe {
            let failed = rivals_c_open(
                library().as_ptr(),
                STRATEGY,
                capacity,
                size_of::<T>(),
                calls.as_mut_ptr(),
            );
            assert_eq!(failed, 0, "libturtle.so opens a ring");
            calls.assume_init()
        };
        Self(calls, PhantomData)
    }
    fn source(&self) -> Self::Source<'_> {
        self
    }
    fn sink(&self) -> Self::Sink<'_> {
        self
    }
    fn pairs(&self, items: u64) -> u64 {
        let (mut item, mut out) = (T::BLANK, T::BLANK);
        let mut sum = 0_u64;
        for i in 0..items {
            item.stamp(std::hint::black_box(i));
            self.push(&item);
            self.pop(&mut out);
            sum = sum.wrapping_add(std::hint::black_box(&out).id());
        }
        sum
    }
}
