//! The victim process for calls that open a ring in shared memory.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use turtle_buffers::erased::{self, DynRing, Outcome as Told};
use turtle_buffers::os::segment::Segment;
use turtle_buffers::{BuildError, OpenMode, Options, Strategy};

use crate::calls::Call;
use crate::markers::measured;
use crate::page::{Page, Request};
use crate::victim::{introduce, serve, settle, start_victim};
use crate::worlds::{Answer, Op, Outcome};

/// What opening came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Opened {
    /// There is no such ring.
    NotFound = 1,
    /// There is one already.
    Exists = 2,
    /// A ring, of the capacity asked for.
    Ring = 3,
    /// Anything else: wrong here.
    Error = 4,
}

impl Opened {
    /// The answer of this number.
    pub(crate) fn from_number(number: u32) -> Self {
        [Self::NotFound, Self::Exists, Self::Ring]
            .into_iter()
            .find(|opened| *opened as u32 == number)
            .unwrap_or(Self::Error)
    }
}

type Opening = Result<Arc<dyn DynRing>, BuildError>;

fn describe(opening: &Opening, capacity: usize) -> Opened {
    match opening {
        Ok(ring) if ring.capacity() == capacity => Opened::Ring,
        Err(BuildError::NotFound(_)) => Opened::NotFound,
        Err(BuildError::Exists(_)) => Opened::Exists,
        Ok(_) => Opened::Error,
        Err(error) => {
            eprintln!("opening: {error}");
            Opened::Error
        }
    }
}

fn open(options: &Options) -> Opening {
    // SAFETY: there is no drop hook.
    unsafe { erased::open(options, None) }
}

fn told(outcome: Told) -> Answer {
    match outcome {
        Told::Ok => Answer::Done,
        Told::Full => Answer::Full,
        Told::Empty => Answer::Empty,
        Told::Busy => Answer::Busy,
        Told::Closed => Answer::Closed,
        _ => Answer::Other,
    }
}

/// One push through `into`, one pop through `from`, both noted.
fn pair(page: &Page, value: u64, into: &dyn DynRing, from: &dyn DynRing) {
    let elem = value.to_ne_bytes();
    // SAFETY: eight bytes, the element size asked for.
    page.note(
        Op::Push(value),
        told(unsafe { into.try_push(elem.as_ptr()) }),
    );
    let mut elem = [0; 8];
    // SAFETY: as above, to be written.
    let answer = told(unsafe { from.try_pop(elem.as_mut_ptr()) });
    page.note(Op::Pop(u64::from_ne_bytes(elem)), answer);
}

/// The victim process for one opening call.
pub(crate) fn run(page: &'static Page, call: Call, strategy: Strategy, capacity: usize) -> ! {
    settle();
    introduce(page);
    let name = format!("/turtle-stall-{}", std::process::id());
    let with = |open| Options {
        strategy: Some(strategy),
        capacity,
        path: Some(name.clone()),
        open,
        ..Options::default()
    };
    let (stopped, others) = match call {
        Call::Create => (OpenMode::CreateNew, OpenMode::Attach),
        Call::CreateRaced => (OpenMode::CreateOrAttach, OpenMode::CreateOrAttach),
        _ => (OpenMode::Attach, OpenMode::Attach),
    };
    let (stopped, others, anew) = (with(stopped), with(others), with(OpenMode::CreateNew));
    let (start, returned) = start_victim(page, move |()| {
        let opening = measured(|| open(&stopped));
        let good = describe(&opening, capacity) == Opened::Ring;
        let answer = if good { Answer::Done } else { Answer::Other };
        page.victim.set(&Outcome {
            answer,
            count: 0,
            values: Vec::new(),
        });
        opening
    });
    // The ring that the others hold on to, so that it is the same all along.
    let mut held: Option<Arc<dyn DynRing>> = None;
    serve(page, move |request, _| match request {
        Request::Setup => {
            // An earlier run that was ended may have left one; none is fine.
            let _ = Segment::unlink(&name);
            held = None;
            if call == Call::Attach {
                held = Some(open(&anew).expect("a fresh segment"));
            }
            start.send(()).expect("the victim thread lives");
        }
        Request::Probe => {
            let opening = open(&others);
            page.opened
                .store(describe(&opening, capacity) as u32, Ordering::Relaxed);
            if let Some(ring) = &held {
                pair(page, 1, &**ring, &**ring);
                ring.release_thread();
            }
            if let Ok(ring) = opening {
                pair(page, 2, &*ring, &*ring);
                ring.release_thread();
                held = (call == Call::CreateRaced).then_some(ring).or(held.take());
            }
        }
        Request::Finish => {
            let opening = returned.recv().expect("the victim thread lives");
            let own = held.take().map_or_else(|| open(&others), Ok);
            if let (Ok(stopped), Ok(own)) = (opening, own) {
                pair(page, 3, &*own, &*stopped);
                own.release_thread();
                pair(page, 4, &*stopped, &*stopped);
            }
            let _ = Segment::unlink(&name); // so that nothing is left behind
        }
    })
}
