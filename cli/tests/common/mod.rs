//! Running the command, and rings for it to find.
#![allow(dead_code)] // each test file uses some of it

use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use turtle_buffers::erased::{self, DynRing, Outcome};
use turtle_buffers::os::segment::Segment;
use turtle_buffers::{OpenMode, Options, Strategy};

/// What `turtle` printed and how it ended.
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `turtle` with these arguments.
pub(crate) fn turtle<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_turtle"))
        .args(arguments)
        .output()
        .expect("it was built");
    Ran {
        status: status.code().expect("it was not killed"),
        out: String::from_utf8(stdout).expect("text"),
        err: String::from_utf8(stderr).expect("text"),
    }
}

impl Ran {
    /// Status 0, and what it printed.
    #[track_caller]
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.status, 0, "{}{}", self.out, self.err);
        self.out
    }

    /// Another status, one line of complaint that contains `why`, and nothing printed.
    #[track_caller]
    pub(crate) fn fails(self, status: i32, why: &str) {
        assert_eq!(self.status, status, "{}{}", self.out, self.err);
        assert!(self.err.contains(why), "{why:?} is not in {:?}", self.err);
        assert_eq!(self.out, "");
    }
}

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON")
}

/// Says so and answers true where there are no shared rings.
pub(crate) fn no_shared_memory() -> bool {
    let none = turtle_buffers::os::machine::machine()
        .shared_memory
        .is_none();
    if none {
        println!("SKIP: there is no shared memory here");
    }
    none
}

/// A shared ring with a name of its own, gone when the test ends.
pub(crate) struct Named {
    pub(crate) name: String,
    pub(crate) ring: Option<Arc<dyn DynRing>>,
}

impl Named {
    pub(crate) fn new(
        test: &str,
        strategy: Strategy,
        capacity: usize,
        elem_size: usize,
        records: bool,
    ) -> Self {
        let name = name(test);
        let options = Options {
            strategy: Some(strategy),
            capacity,
            elem_size,
            records,
            path: Some(name.clone()),
            open: OpenMode::CreateNew,
            ..Options::default()
        };
        // SAFETY: no drop hook is given.
        let ring = unsafe { erased::open(&options, None) }.expect("there is room");
        Self {
            name,
            ring: Some(ring),
        }
    }

    pub(crate) fn ring(&self) -> &dyn DynRing {
        self.ring.as_deref().expect("not detached")
    }

    /// The oldest record, waiting for it.
    pub(crate) fn pop(&self) -> Vec<u8> {
        let mut record = vec![0; self.ring().elem_size()];
        let mut len = 0;
        let limit = Some(Duration::from_secs(60));
        // SAFETY: the record is writable for its length.
        let outcome = unsafe {
            self.ring()
                .pop_record(record.as_mut_ptr(), record.len(), &mut len, limit)
        };
        assert_eq!(outcome, Outcome::Ok);
        record.truncate(len);
        record
    }
}

/// A name that no other test has.
pub(crate) fn name(test: &str) -> String {
    format!("/turtle-cli-{}-{test}", std::process::id())
}

impl Drop for Named {
    fn drop(&mut self) {
        // Some tests have removed it themselves.
        if let Err(error) = Segment::unlink(&self.name) {
            println!("{}: {error}", self.name);
        }
    }
}
