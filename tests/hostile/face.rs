//! The victim: how a ring is used while somebody spoils it, and what must hold all the same.

use std::sync::Arc;
use std::time::Duration;

use turtle_buffers::erased::{self, DynRing, Outcome};
use turtle_buffers::{Batch, BuildError, Options, Ring, RingBuffer};

use crate::support::Random;

/// How the victim uses its ring.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Face {
    Typed,
    Plain,
    Records,
}

impl Face {
    pub(crate) const ALL: [Face; 3] = [Face::Typed, Face::Plain, Face::Records];
    pub(crate) fn parse(name: &str) -> Face {
        Face::ALL
            .into_iter()
            .find(|f| format!("{f:?}") == name)
            .unwrap()
    }
}

pub(crate) const TYPED_WORDS: usize = 3;
/// Bytes beside a buffer, which nobody may change.
pub(crate) const CANARY: usize = 64;

pub(crate) enum Victim {
    Typed(RingBuffer<[u64; TYPED_WORDS]>),
    Erased(Arc<dyn DynRing>),
}

pub(crate) struct Bounds(pub(crate) usize, pub(crate) usize);

impl Victim {
    pub(crate) fn open(options: &Options, face: Face) -> Result<Victim, BuildError> {
        Ok(match face {
            Face::Typed => Victim::Typed(Ring::open(options)?),
            // SAFETY: no hook.
            Face::Plain => Victim::Erased(unsafe { erased::open(options, None) }?),
            Face::Records => {
                let options = Options {
                    records: options.elem_size != 0,
                    ..options.clone()
                };
                // SAFETY: no hook.
                Victim::Erased(unsafe { erased::open(&options, None) }?)
            }
        })
    }

    /// One call, of any kind.
    pub(crate) fn call(&self, random: &mut Random, bounds: &Bounds) {
        match self {
            Victim::Typed(ring) => typed_call(ring, random, bounds),
            Victim::Erased(ring) => erased_call(ring, random, bounds),
        }
    }
}

/// A time that is up soon.
pub(crate) fn soon(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(60) as u64)
}

pub(crate) fn typed_call(
    ring: &RingBuffer<[u64; TYPED_WORDS]>,
    random: &mut Random,
    bounds: &Bounds,
) {
    let value = [random.word(); TYPED_WORDS];
    if random.one_in(200) {
        ring.close();
    }
    if random.one_in(50) {
        let _ = (
            ring.len(),
            ring.is_full(),
            ring.stats(),
            format!("{ring:?}"),
            ring.is_closed(),
        );
    }
    if random.one_in(2) {
        // Where one is allowed, a handle that is out is this thread's own.
        let Some(mut tx) = ring.producer() else {
            return;
        };
        for _ in 0..1 + random.below(4) {
            match random.below(4) {
                0 => {
                    let _ = tx.try_push(value);
                }
                1 => {
                    let many = vec![value; random.below(40)];
                    let _ = tx.try_push_batch(&mut Batch::new(many));
                }
                2 => {
                    if let Ok(mut claim) = tx.try_claim() {
                        bounds.spare(claim.slot().as_ptr().cast(), size_of_val(&value));
                        if !random.one_in(3) {
                            let _ = claim.commit(value);
                        }
                    }
                }
                _ => {
                    let _ = tx.push_timeout(value, soon(random));
                }
            }
        }
    } else {
        let Some(mut rx) = ring.consumer() else {
            return;
        };
        let mut out = Vec::new();
        for _ in 0..1 + random.below(4) {
            match random.below(4) {
                0 => {
                    let _ = rx.try_pop();
                }
                1 => {
                    let _ = rx.try_pop_batch(&mut out, random.below(40));
                }
                2 => {
                    if let Ok(peek) = rx.try_peek() {
                        bounds.spare(std::ptr::from_ref(&*peek).cast(), size_of_val(&value));
                    }
                }
                _ => {
                    let _ = rx.pop_timeout(soon(random));
                }
            }
        }
        assert!(out.len() <= 4 * 40);
    }
}

pub(crate) fn erased_call(ring: &Arc<dyn DynRing>, random: &mut Random, bounds: &Bounds) {
    if random.one_in(100) {
        // From now on pops announce that they poll, and pushes may ring.
        let _ = ring.clone().event_fd();
    }
    let ring = &**ring;
    let size = ring.elem_size();
    let mut room = vec![0xcc_u8; size * 8 + CANARY];
    let mut len = 0;
    let (mut slot, mut read) = (std::ptr::null_mut(), std::ptr::null());
    let mut used = 0;
    // SAFETY: the buffer holds eight elements; slots are used as the ring lends them.
    unsafe {
        match random.below(16) {
            0 | 1 => {
                let _ = ring.try_push(room.as_ptr());
            }
            2 | 3 => {
                ring.try_pop(room.as_mut_ptr());
                used = size;
            }
            4 => {
                let _ = ring.try_push_n(room.as_ptr(), random.below(9), &mut len);
            }
            5 => {
                ring.pop_n(
                    room.as_mut_ptr(),
                    random.below(9),
                    Some(Duration::ZERO),
                    &mut len,
                );
                assert!(len <= 8);
                used = 8 * size;
            }
            6 => {
                let _ =
                    ring.push_record(room.as_ptr(), random.below(size + 2), Some(Duration::ZERO));
            }
            7 | 8 => {
                let cap = random.below(size + 1);
                let outcome =
                    ring.pop_record(room.as_mut_ptr(), cap, &mut len, Some(Duration::ZERO));
                assert!(outcome != Outcome::Ok || len <= cap, "{len} of {cap}");
                assert!(len <= size || ring.is_empty(), "{len} of {size}");
                used = cap;
            }
            9 | 10 => {
                if ring.claim(&mut slot) == Outcome::Ok {
                    bounds.hold(slot, size);
                    slot.write_bytes(0x55, size);
                    match random.below(4) {
                        0 => {
                            let _ = ring.abandon(slot);
                        }
                        1 => {
                            let _ = ring.commit_record(slot, random.below(size + 1));
                        }
                        _ => {
                            let _ = ring.commit(slot);
                        }
                    }
                    ring.abandon(slot);
                }
            }
            11 | 12 => {
                if ring.peek(&mut read, &mut len) == Outcome::Ok {
                    assert!(len <= size, "{len} of {size}");
                    bounds.hold(read, len);
                    room[..len].copy_from_slice(std::slice::from_raw_parts(read, len));
                    used = len;
                    ring.release(read);
                    ring.release(read);
                }
            }
            13 => {
                let _ = ring.push(room.as_ptr(), Some(soon(random)));
            }
            14 => {
                ring.pop(room.as_mut_ptr(), Some(soon(random)));
                used = size;
            }
            _ => {
                let _ = (
                    ring.len(),
                    ring.stats(),
                    ring.is_closed(),
                    format!("{ring:?}"),
                );
                if random.one_in(30) {
                    ring.close();
                }
            }
        }
    }
    assert!(
        room[used..].iter().all(|&b| b == 0xcc),
        "written beyond the buffer"
    );
}

impl Bounds {
    /// Of a segment that may lie anywhere: nothing can be said.
    pub(crate) const ANYWHERE: Self = Self(0, usize::MAX);

    /// What guards of the typed face refer to is this process's own: no other
    /// may write where a reference leads.
    pub(crate) fn spare(&self, at: *const u8, size: usize) {
        assert!(
            self.1 == usize::MAX || at.addr() + size <= self.0 || at.addr() >= self.1,
            "{at:?} is inside"
        );
    }
    /// Whatever is lent by its address lies inside the segment.
    pub(crate) fn hold(&self, at: *const u8, size: usize) {
        assert!(
            at.addr() >= self.0 && at.addr() + size <= self.1,
            "{at:?} is outside"
        );
    }
}

/// Bytes on each side of the segment that nobody may touch.
const GUARD: usize = 64 << 10;
const PAGE: usize = 4096;

/// Room between forbidden pages, in which the next mapping of its size lands.
pub(crate) struct Fence {
    all: usize,
    size: usize,
}

/// Reserves `size` bytes of addresses.
fn reserve(size: usize) -> usize {
    // SAFETY: a new mapping that nobody can touch.
    let at = unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        libc::mmap(std::ptr::null_mut(), size, libc::PROT_NONE, flags, -1, 0)
    };
    assert_ne!(at, libc::MAP_FAILED);
    at.addr()
}

fn give_back(at: usize, size: usize) {
    // SAFETY: callers pass what they reserved.
    unsafe { libc::munmap(std::ptr::with_exposed_provenance_mut(at), size) };
}

impl Fence {
    /// Opens the ring between forbidden pages. Answers also whether it really
    /// lies there (the kernel chooses) and where it ends.
    pub(crate) fn open(options: &Options, face: Face) -> (Victim, Bounds, Fence, bool) {
        let name = options.path.as_deref().unwrap();
        drop(Victim::open(options, face).unwrap());
        let file = std::path::Path::new("/dev/shm").join(&name[1..]);
        let length = std::fs::metadata(&file).unwrap().len() as usize;
        std::fs::remove_file(&file).unwrap();

        let size = length.next_multiple_of(PAGE);
        let fence = Fence {
            all: reserve(size + 2 * GUARD),
            size,
        };
        let hole = fence.all + GUARD;
        give_back(hole, size);
        // Whatever else of this size the kernel would choose is filled first.
        let mut elsewhere = Vec::new();
        while elsewhere.len() < 64 {
            let at = reserve(size);
            if at == hole {
                break;
            }
            elsewhere.push(at);
        }
        give_back(hole, size);
        let ring = Victim::open(options, face).unwrap();
        elsewhere.into_iter().for_each(|at| give_back(at, size));

        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps
            .lines()
            .find(|l| l.ends_with(name))
            .expect("it is mapped");
        let from = usize::from_str_radix(line.split('-').next().unwrap(), 16).unwrap();
        (ring, Bounds(from, from + length), fence, from == hole)
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        give_back(self.all, GUARD);
        give_back(self.all + GUARD + self.size, GUARD);
    }
}
