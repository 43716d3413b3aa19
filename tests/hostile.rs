//! A corrupted or hostile peer: it may spoil data and stop the service, it never makes this process
//! touch anything outside the segment, crash or hang (`docs/trust.md` has the model).
//!
//! Everything dangerous happens in a child process, between pages that nobody may touch, with an
//! alarm set. Shows: thousands of wrong words and heads. Cannot show: those that were not tried.
#![cfg(target_os = "linux")]

mod support;

use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::time::Duration;

use support::Random;
use support::peer::{Name, Peer, case, listen, say};
use turtle_buffers::erased::{self, DynRing, Outcome};
use turtle_buffers::os::segment::Segment;
use turtle_buffers::segment::{FLAG_RECORDS, HEAD_BYTES, Head, LAYOUT_VERSION};
use turtle_buffers::{BuildError, OpenMode, Options, Ring, RingBuffer, Strategy};

/// Rings that are spoilt, for each strategy and face, and calls on each.
const CASES: u64 = 400;
const STEPS: usize = 150;
/// Calls on a ring that another process scribbles on all the time.
const CALLS: usize = 80_000;
/// Heads that are tried, for each strategy.
const HEADS: u64 = 3000;
/// Seconds until a child counts as hanging.
const ALARM: u32 = 100;

fn strategies() -> impl Iterator<Item = Strategy> {
    Strategy::ALL.iter().copied().filter(|s| s.traits().shared)
}

#[test]
fn child_entry() {
    let Some((case, argument)) = case() else { return };
    // SAFETY: a number.
    unsafe { libc::alarm(ALARM) };
    let mut words = argument.split(' ');
    let strategy: Strategy = words.next().unwrap().parse().unwrap();
    let name = words.next().unwrap();
    match case.as_str() {
        "spoil" => spoil(strategy, name, words.next().unwrap()),
        "victim" => victim(strategy, name, words.next().unwrap()),
        "scribble" => scribble(name),
        "heads" => heads(strategy, name),
        other => panic!("no case {other}"),
    }
    say("survived");
}

/// Runs a child and expects it to survive.
#[track_caller]
fn survives(mut peer: Peer, what: &str) {
    let mut last = String::from("nothing yet");
    loop {
        match peer.hear_or_end() {
            Ok(said) if said == "survived" => return peer.finish(),
            Ok(said) => last = said,
            Err(end) => match end.signal() {
                Some(libc::SIGALRM) => panic!("{what}: hangs, after {last}"),
                Some(signal) => panic!("{what}: killed by signal {signal}, after {last}"),
                None => panic!("{what}: panicked, after {last}"),
            },
        }
    }
}

// ---- the victim's face ----------------------------------------------------------------------

/// How the victim uses its ring.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Face {
    Typed,
    Plain,
    Records,
}

impl Face {
    const ALL: [Face; 3] = [Face::Typed, Face::Plain, Face::Records];
    fn parse(name: &str) -> Face {
        Face::ALL.into_iter().find(|f| format!("{f:?}") == name).unwrap()
    }
}

const TYPED_WORDS: usize = 3;
/// Bytes beside a buffer, which nobody may change.
const CANARY: usize = 64;

enum Victim {
    Typed(RingBuffer<[u64; TYPED_WORDS]>),
    Erased(Arc<dyn DynRing>),
}

struct Bounds(usize, usize);

impl Victim {
    fn open(options: &Options, face: Face) -> Result<Victim, BuildError> {
        Ok(match face {
            Face::Typed => Victim::Typed(Ring::open(options)?),
            // SAFETY: no hook.
            Face::Plain => Victim::Erased(unsafe { erased::open(options, None) }?),
            Face::Records => {
                let options = Options { records: options.elem_size != 0, ..options.clone() };
                // SAFETY: no hook.
                Victim::Erased(unsafe { erased::open(&options, None) }?)
            }
        })
    }

    /// One call, of any kind.
    fn call(&self, random: &mut Random, bounds: &Bounds) {
        match self {
            Victim::Typed(ring) => typed_call(ring, random, bounds),
            Victim::Erased(ring) => erased_call(&**ring, random, bounds),
        }
    }
}

/// A time that is up soon.
fn soon(random: &mut Random) -> Duration {
    Duration::from_micros(random.below(60) as u64)
}

fn typed_call(ring: &RingBuffer<[u64; TYPED_WORDS]>, random: &mut Random, bounds: &Bounds) {
    let value = [random.word(); TYPED_WORDS];
    if random.one_in(200) {
        ring.close();
    }
    if random.one_in(50) {
        let _ = (ring.len(), ring.is_full(), ring.stats(), format!("{ring:?}"), ring.is_closed());
    }
    if random.one_in(2) {
        // Where one is allowed, a handle that is out is this thread's own.
        let Some(mut tx) = ring.producer() else { return };
        for _ in 0..1 + random.below(4) {
            match random.below(4) {
                0 => {
 let _ = tx.try_push(value);
}
                1 => {
                    let many = vec![value; random.below(40)];
                    let _ = tx.try_push_batch(&mut many.into_iter());
                }
                2 => {
                    if let Ok(mut claim) = tx.try_claim() {
                        bounds.hold(claim.slot().as_ptr().cast(), size_of_val(&value));
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
        let Some(mut rx) = ring.consumer() else { return };
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
                        bounds.hold(std::ptr::from_ref(&*peek).cast(), size_of_val(&value));
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

fn erased_call(ring: &dyn DynRing, random: &mut Random, bounds: &Bounds) {
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
                ring.pop_n(room.as_mut_ptr(), random.below(9), Some(Duration::ZERO), &mut len);
                assert!(len <= 8);
                used = 8 * size;
            }
            6 => {
 let _ = ring.push_record(room.as_ptr(), random.below(size + 2), Some(Duration::ZERO));
}
            7 | 8 => {
                let cap = random.below(size + 1);
                let outcome = ring.pop_record(room.as_mut_ptr(), cap, &mut len, Some(Duration::ZERO));
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
                let _ = (ring.len(), ring.stats(), ring.is_closed(), format!("{ring:?}"));
                if random.one_in(30) {
                    ring.close();
                }
            }
        }
    }
    assert!(room[used..].iter().all(|&b| b == 0xcc), "written beyond the buffer");
}

impl Bounds {
    /// Whatever is lent lies inside the segment.
    fn hold(&self, at: *const u8, size: usize) {
        assert!(at.addr() >= self.0 && at.addr() + size <= self.1, "{at:?} is outside");
    }

    /// Where the segment of this name is mapped first, with pages around it
    /// that nobody may touch as far as there is room for them.
    fn fence(name: &str) -> Bounds {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let line = maps.lines().find(|l| l.ends_with(name)).expect("it is mapped");
        let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let number = |hex| usize::from_str_radix(hex, 16).unwrap();
        let (from, to) = (number(from), number(to));
        const GUARD: usize = 64 << 10;
        for at in [from - GUARD, to] {
            // SAFETY: NOREPLACE leaves existing mappings alone.
            unsafe {
                libc::mmap(
                    std::ptr::without_provenance_mut(at),
                    GUARD,
                    libc::PROT_NONE,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED_NOREPLACE,
                    -1,
                    0,
                );
            }
        }
        Bounds(from, to)
    }
}

// ---- wrong words ----------------------------------------------------------------------------

/// The words behind the head, as a hostile process sees them.
struct Words<'a>(&'a Segment);

impl Words<'_> {
    fn count(&self) -> usize {
        self.0.len() / 8
    }
    fn read(&self, index: usize) -> u64 {
        assert!(index < self.count());
        // SAFETY: inside the mapping and aligned; volatile, for others write too.
        unsafe { self.0.base().cast::<u64>().add(index).read_volatile() }
    }
    fn write(&self, index: usize, value: u64) {
        assert!(index < self.count());
        // SAFETY: as above.
        unsafe { self.0.base().cast::<u64>().add(index).write_volatile(value) };
    }

    /// A word that matters: benches, the engine's header, a slot.
    fn choose(&self, random: &mut Random) -> usize {
        let index = match random.below(8) {
            0 => 16 + 16 * random.below(4) + random.below(3), // benches, 128 bytes apart
            1..=4 => 80 + 16 * random.below(4) + random.below(2), // the engine's header
            _ => 80 + random.below(self.count() - 80),
        };
        index.min(self.count() - 1)
    }

    fn spoil(&self, random: &mut Random) {
        let index = self.choose(random);
        let now = self.read(index);
        let step = 1_u64 << random.below(64);
        let value = match random.below(14) {
            0 => 0,
            1 => u64::MAX,
            2 => 1 << 63,
            3 => now ^ step,
            4 => now.wrapping_add(1),
            5 => now.wrapping_sub(1),
            6 => now.wrapping_add(step),
            7 => now.wrapping_sub(step),
            8 => now | 1 << 63,
            9 => u64::MAX - random.below(64) as u64,
            10 => (1 << 63) - 1 - random.below(64) as u64,
            11 => random.below(200) as u64,
            12 => self.read(self.choose(random)),
            _ => random.word(),
        };
        self.write(index, value);
        if random.one_in(4) {
            // The same value elsewhere: words that agree get further.
            self.write(self.choose(random), value.wrapping_add(random.below(3) as u64));
        }
    }
}

fn geometry(name: &str, strategy: Strategy, face: Face, random: &mut Random) -> Options {
    Options {
        strategy: Some(strategy),
        capacity: [1, 2, 3, 5, 8, 13, 64][random.below(7)],
        elem_size: if face == Face::Typed { 8 * TYPED_WORDS } else { [1, 8, 16, 20, 64, 200][random.below(6)] },
        records: face == Face::Records,
        path: Some(name.into()),
        open: OpenMode::CreateNew,
        ..Options::default()
    }
}

fn spoil(strategy: Strategy, name: &str, face: &str) {
    let face = Face::parse(face);
    let only: Option<u64> = std::env::var("TURTLE_TEST_SEED").ok().map(|s| s.parse().unwrap());
    for seed in only.map_or(0..CASES, |s| s..s + 1) {
        if seed % 20 == 0 {
            say(&format!("seed {seed}"));
        }
        let mut random = Random::new(seed * 3 + face as u64);
        let options = geometry(name, strategy, face, &mut random);
        let ring = Victim::open(&options, face).unwrap();
        let bounds = Bounds::fence(name);
        let other = Segment::open(name).unwrap();
        let words = Words(&other);
        let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                if random.one_in(3) {
                    words.spoil(&mut random);
                }
                ring.call(&mut random, &bounds);
            }
            // Attaching to it is as safe.
            let attach = Options { open: OpenMode::Attach, ..options.clone() };
            if let Victim::Erased(ring) = &ring {
                ring.release_thread();
            }
            if let Ok(again) = Victim::open(&attach, face) {
                again.call(&mut random, &Bounds(0, usize::MAX));
            }
        }));
        if let Err(panic) = step {
            say(&format!("panicked at seed {seed}, {options:?}"));
            std::panic::resume_unwind(panic);
        }
        drop(ring);
        Segment::unlink(name).unwrap();
    }
}

#[test]
fn spoilt_words_cause_no_access_outside() {
    for strategy in strategies() {
        for face in Face::ALL {
            let name = Name::new(&format!("spoil-{strategy}-{face:?}"));
            let peer = Peer::start("spoil", &format!("{strategy} {} {face:?}", name.0));
            survives(peer, &format!("{strategy}, {face:?}"));
        }
    }
}

// ---- a peer that scribbles all the time -----------------------------------------------------

fn victim(strategy: Strategy, name: &str, face: &str) {
    let face = Face::parse(face);
    let mut random = Random::new(face as u64 + 17);
    let mut options = geometry(name, strategy, face, &mut random);
    options.capacity = 6; // not a power of two: indices out of range exist
    let ring = Victim::open(&options, face).unwrap();
    let bounds = Bounds::fence(name);
    say("open");
    listen();
    for _ in 0..CALLS / 4 {
        ring.call(&mut random, &bounds);
    }
}

fn scribble(name: &str) {
    let segment = Segment::open(name).unwrap();
    let words = Words(&segment);
    let mut random = Random::new(std::process::id().into());
    say("scribbling");
    loop {
        words.spoil(&mut random);
    }
}

#[test]
fn scribbling_at_any_moment_causes_no_access_outside() {
    for strategy in strategies() {
        for face in Face::ALL {
            let name = Name::new(&format!("scribble-{strategy}-{face:?}"));
            let mut victim = Peer::start("victim", &format!("{strategy} {} {face:?}", name.0));
            victim.expect("open");
            let mut scribbler = Peer::start("scribble", &format!("{strategy} {}", name.0));
            scribbler.expect("scribbling");
            victim.tell("go");
            survives(victim, &format!("{strategy}, {face:?}"));
            scribbler.kill();
        }
    }
}

// ---- heads ----------------------------------------------------------------------------------

/// What the head of a well-made segment would be with other numbers in it.
fn other_head(head: &Head, random: &mut Random) -> Head {
    let mut other = *head;
    let sizes = [
        0, 1, 2, 3, 7, 8, 9, 15, 16, 24, 64, 4096, 8192, 1 << 24, (1 << 24) + 1, 1 << 32, 1 << 40, 1 << 47, 1 << 48,
        (1 << 48) + 1, 1 << 61, 1 << 62, 1 << 63, u64::MAX - 7, u64::MAX,
    ];
    let size = |random: &mut Random, now: u64| match random.below(4) {
        0 => now.wrapping_add(1),
        1 => now.wrapping_sub(1),
        _ => sizes[random.below(sizes.len())],
    };
    for _ in 0..1 + random.below(2) {
        match random.below(8) {
            0 => other.strategy = [0, 1, 2, 6, 7, 255, u32::MAX][random.below(7)],
            1 | 2 => other.capacity = size(random, head.capacity),
            3 | 4 => other.elem_size = size(random, head.elem_size),
            5 => other.elem_align = size(random, head.elem_align),
            6 => other.flags = [0, FLAG_RECORDS, 2, 3, 1 << 63, u64::MAX][random.below(6)],
            _ => other.length = size(random, head.length),
        }
    }
    other
}

/// Opens in every way; each answer is an error that says something, or a ring that works.
fn open_in_every_way(name: &str, random: &mut Random) -> (usize, usize) {
    let base = Options { capacity: 0, path: Some(name.into()), open: OpenMode::Attach, ..Options::default() };
    let ways = [
        (base.clone(), Face::Typed),
        (Options { elem_size: 0, ..base.clone() }, Face::Plain),
        (Options { elem_size: 24, capacity: 8, ..base.clone() }, Face::Plain),
        (Options { elem_size: 24, records: true, ..base.clone() }, Face::Records),
        (Options { strategy: Some(Strategy::Turn), capacity: 8, open: OpenMode::CreateOrAttach, ..base }, Face::Typed),
    ];
    let (mut opened, mut refused) = (0, 0);
    for (options, face) in ways {
        match Victim::open(&options, face) {
            Ok(ring) => {
                opened += 1;
                // Its mapping comes after that of older ones: only guard pages then.
                for _ in 0..20 {
                    ring.call(random, &Bounds(0, usize::MAX));
                }
            }
            Err(why) => {
                refused += 1;
                assert!(why.to_string().len() > 10, "{why:?}");
            }
        }
    }
    (opened, refused)
}

fn heads(strategy: Strategy, name: &str) {
    let options = Options {
        strategy: Some(strategy),
        capacity: 8,
        path: Some(name.into()),
        open: OpenMode::CreateNew,
        ..Options::default()
    };
    drop(Ring::<[u64; TYPED_WORDS]>::open(&options).unwrap());
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(std::path::Path::new("/dev/shm").join(&name[1..]))
        .unwrap();
    let length = file.metadata().unwrap().len();
    let mut whole = vec![0; length as usize];
    file.read_exact_at(&mut whole, 0).unwrap();
    let bytes: [u8; HEAD_BYTES] = whole[..HEAD_BYTES].try_into().unwrap();
    let head = Head::decode(&bytes, whole.len()).unwrap();
    assert_eq!(head.encode(), bytes);

    let (mut opened, mut refused) = (0, 0);
    for seed in 0..HEADS {
        if seed % 100 == 0 {
            say(&format!("head {seed}"));
        }
        let mut random = Random::new(seed);
        file.set_len(length).unwrap();
        file.write_all_at(&whole, 0).unwrap();
        let mut spoilt = match seed % 3 {
            // Damage: a few bytes.
            0 => {
                let mut spoilt = bytes;
                for _ in 0..1 + random.below(3) {
                    let at = random.below(HEAD_BYTES);
                    spoilt[at] = random.word() as u8;
                }
                spoilt
            }
            // Malice: wrong numbers with the right checksum …
            1 => other_head(&head, &mut random).encode(),
            // … and a length that agrees with them.
            _ => {
                let lengths = [0, 1, 8, 63, 64, 65, 128, 639, 640, 641, 1024, length - 1, length - 8, length - 128, length + 1, length + 4096];
                let other = lengths[random.below(lengths.len())];
                file.set_len(other).unwrap();
                let mut lies = other_head(&head, &mut random);
                if random.one_in(3) {
                    lies = head;
                }
                lies.length = other;
                lies.encode()
            }
        };
        if random.one_in(50) {
            spoilt[8..12].copy_from_slice(&(LAYOUT_VERSION + 1).to_le_bytes());
        }
        let there = file.metadata().unwrap().len().min(HEAD_BYTES as u64) as usize;
        file.write_all_at(&spoilt[..there], 0).unwrap();
        let answers = open_in_every_way(name, &mut random);
        opened += answers.0;
        refused += answers.1;
    }
    say(&format!("{opened} opened, {refused} refused"));
    assert!(opened > 20 && refused > HEADS as usize, "{opened} opened, {refused} refused");
    Segment::unlink(name).unwrap();
}

#[test]
fn a_wrong_head_is_an_error_or_a_ring_that_works() {
    for strategy in strategies() {
        let name = Name::new(&format!("heads-{strategy}"));
        survives(Peer::start("heads", &format!("{strategy} {}", name.0)), &strategy.to_string());
    }
}

#[test]
fn each_damage_has_its_own_text() {
    let head = Head { strategy: 0, capacity: 8, elem_size: 24, elem_align: 8, flags: 0, length: 4096 };
    let good = head.encode();
    assert_eq!(Head::decode(&good, 4096).unwrap(), head);
    let refused = |bytes: [u8; HEAD_BYTES], length: usize, word: &str| {
        let why = Head::decode(&bytes, length).unwrap_err();
        assert!(why.to_string().contains(word), "{word} in {why}");
        why
    };
    let with = |at: usize, value: u8| {
        let mut bytes = good;
        bytes[at] = value;
        bytes
    };
    assert!(matches!(refused(with(0, b't'), 4096, "magic"), BuildError::Corrupt(_)));
    assert!(matches!(refused(with(8, 99), 4096, "layout version 99"), BuildError::Mismatch(_)));
    assert!(matches!(refused(with(17, 1), 4096, "checksum"), BuildError::Corrupt(_)));
    assert!(matches!(refused(with(60, !good[60]), 4096, "checksum"), BuildError::Corrupt(_)));
    assert!(matches!(refused(good, 4095, "truncated"), BuildError::Corrupt(_)));
    let future = Head { flags: 6, ..head }.encode();
    assert!(matches!(refused(future, 4096, "0x6"), BuildError::Mismatch(_)));
}
