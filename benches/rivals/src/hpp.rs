//! turtle through its C++ header, as loops that a C++ compiler made (`shim/turtle.cpp`), over the
//! `libturtle.so` that [`cabi`](crate::cabi) opens, too. And the same loops over the C interface, so that nothing but the
//! header differs.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::OnceLock;

use crate::cabi;
use crate::cpp::{Consume, Handle, Loop, Produce};
use crate::queue::Arena;

/// The loops over one way to call; laid out as the shim fills it.
#[repr(C)]
struct Calls {
    open: unsafe extern "C" fn(strategy: u32, capacity: usize) -> *mut c_void,
    free: unsafe extern "C" fn(*mut c_void),
    produce: Produce,
    consume: Consume,
    pairs: unsafe extern "C" fn(*mut c_void, u64) -> u64,
}

/// `try_push(x)` and `try_pop(x)` of turtle.hpp.
pub const HEADER: u8 = 0;
/// `std::optional` from `try_pop()` of turtle.hpp.
pub const OPTIONAL: u8 = 1;
/// `turtle_try_push` and `turtle_try_pop` in the same loops.
pub const PLAIN: u8 = 2;

const NAMES: [&CStr; 3] = [
    c"rivals_turtle_header",
    c"rivals_turtle_optional",
    c"rivals_turtle_plain",
];

/// The three tables, or why they are not there.
fn tables() -> &'static Result<[&'static Calls; 3], String> {
    static TABLES: OnceLock<Result<[&'static Calls; 3], String>> = OnceLock::new();
    TABLES.get_or_init(|| {
        // For everybody: the shim's calls are bound to it.
        open(cabi::library(), libc::RTLD_GLOBAL)?;
        let shim = CString::new(env!("RIVALS_TURTLE")).expect("a path without a zero byte");
        let shim = open(&shim, libc::RTLD_LOCAL)?;
        // SAFETY: the library is open and stays so; the names end with a zero byte.
        let found = NAMES.map(|name| unsafe { libc::dlsym(shim, name.as_ptr()) }.cast::<Calls>());
        if found.iter().any(|table| table.is_null()) {
            return Err("the shim lacks a table".to_owned());
        }
        // SAFETY: the tables are constants of the shim, of this layout.
        Ok(found.map(|table| unsafe { &*table }))
    })
}

fn open(path: &CStr, scope: i32) -> Result<*mut c_void, String> {
    // SAFETY: a path that ends with a zero byte.
    let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | scope) };
    if library.is_null() {
        // SAFETY: after a failure it answers a text.
        let why: *const c_char = unsafe { libc::dlerror() };
        // SAFETY: as above.
        return Err(unsafe { CStr::from_ptr(why) }
            .to_string_lossy()
            .into_owned());
    }
    Ok(library)
}

/// Whether the subjects can be built; if not, the reason stands on stderr.
#[must_use]
pub fn present() -> bool {
    if let Err(why) = tables() {
        eprintln!("left out: turtle.hpp: {why}");
    }
    tables().is_ok()
}

/// A ring of the strategy with this number, by one way to call. Workers of all three use the handles of turtle.hpp; the
/// ways differ in pairs on one thread.
#[derive(Debug)]
pub struct Hpp<const STRATEGY: u32, const CALLS: u8>(Handle);

impl<const STRATEGY: u32, const CALLS: u8> Hpp<STRATEGY, CALLS> {
    fn calls() -> &'static Calls {
        tables().as_ref().expect("asked `present` before")[usize::from(CALLS)]
    }
}

impl<const STRATEGY: u32, const CALLS: u8> Arena for Hpp<STRATEGY, CALLS> {
    type Source<'a> = Loop<'a, Produce>;
    type Sink<'a> = Loop<'a, Consume>;

    fn with_capacity(capacity: usize) -> Self {
        let calls = Self::calls();
        Self(Handle {
            // SAFETY: takes any strategy and capacity; a wrong one ends the program by an exception.
            queue: unsafe { (calls.open)(STRATEGY, capacity) },
            free: calls.free,
        })
    }
    fn source(&self) -> Self::Source<'_> {
        Loop {
            handle: &self.0,
            run: Self::calls().produce,
        }
    }
    fn sink(&self) -> Self::Sink<'_> {
        Loop {
            handle: &self.0,
            run: Self::calls().consume,
        }
    }
    fn pairs(&self, items: u64) -> u64 {
        // SAFETY: the ring is alive while `self` is borrowed; one thread uses it.
        unsafe { (Self::calls().pairs)(self.0.queue, items) }
    }
}

#[cfg(all(test, any(have_moodycamel, have_boost, have_boost_queue, have_tbb)))]
mod tests {
    use super::*;
    use crate::cpp::tests::carries;

    #[test]
    fn the_header_carries_items_in_order() {
        const TURN: u32 = turtle_buffers::Strategy::Turn as u32;
        const SPSC: u32 = turtle_buffers::Strategy::Spsc as u32;
        if !present() {
            println!("SKIP: libturtle.so is not built");
            return;
        }
        carries::<Hpp<TURN, HEADER>>();
        carries::<Hpp<SPSC, HEADER>>();
        carries::<Hpp<TURN, OPTIONAL>>();
        carries::<Hpp<SPSC, PLAIN>>();
    }
}
