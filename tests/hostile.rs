//! A corrupted or hostile peer: it may spoil data and stop the service, it never makes this process
//! touch anything outside the segment, crash or hang (`docs/trust.md` has the model).
//!
//! Everything dangerous happens in a child process, between pages that nobody may touch, with an
//! alarm set. Shows: thousands of wrong words and heads. Cannot show: those that were not tried.
#![cfg(target_os = "linux")]

#[path = "hostile/face.rs"]
mod face;
mod support;
#[path = "hostile/words.rs"]
mod words;

use std::os::unix::fs::FileExt;
use std::os::unix::process::ExitStatusExt;

use face::{Bounds, Face, Fence, TYPED_WORDS, Victim};
use support::Random;
use support::peer::{Name, Peer, case, listen, say};
use turtle_buffers::os::segment::Segment;
use turtle_buffers::segment::{FLAG_RECORDS, HEAD_BYTES, Head, LAYOUT_VERSION};
use turtle_buffers::{BuildError, OpenMode, Options, Ring, Strategy};
use words::Words;

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
    let Some((case, argument)) = case() else {
        return;
    };
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

// ---- wrong words ------------------------------------------------------------

fn geometry(name: &str, strategy: Strategy, face: Face, random: &mut Random) -> Options {
    Options {
        strategy: Some(strategy),
        capacity: [1, 2, 3, 5, 8, 13, 64][random.below(7)],
        elem_size: if face == Face::Typed {
            8 * TYPED_WORDS
        } else {
            [1, 8, 16, 20, 64, 200, 4000][random.below(7)]
        },
        records: face == Face::Records,
        path: Some(name.into()),
        open: OpenMode::CreateNew,
        ..Options::default()
    }
}

fn spoil(strategy: Strategy, name: &str, face: &str) {
    let face = Face::parse(face);
    let only: Option<u64> = std::env::var("TURTLE_TEST_SEED")
        .ok()
        .map(|s| s.parse().unwrap());
    let mut fenced_in = 0;
    for seed in only.map_or(0..CASES, |s| s..s + 1) {
        if seed % 20 == 0 {
            say(&format!("seed {seed}"));
        }
        let mut random = Random::new(seed * 3 + face as u64);
        let options = geometry(name, strategy, face, &mut random);
        let (ring, bounds, _fence, between) = Fence::open(&options, face);
        fenced_in += u64::from(between);
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
            let attach = Options {
                open: OpenMode::Attach,
                ..options.clone()
            };
            if let Victim::Erased(ring) = &ring {
                ring.release_thread();
            }
            if let Ok(again) = Victim::open(&attach, face) {
                again.call(&mut random, &Bounds::ANYWHERE);
            }
        }));
        if let Err(panic) = step {
            say(&format!("panicked at seed {seed}, {options:?}"));
            std::panic::resume_unwind(panic);
        }
        nothing_else_is_open();
        drop(ring);
        Segment::unlink(name).unwrap();
    }
    assert!(
        only.is_some() || fenced_in * 10 >= CASES * 9,
        "{fenced_in} of {CASES} lay between guards"
    );
}

/// No word of a segment leads to a file elsewhere: what is open is shared memory, what has no name
/// in the file system, and what the child was started with.
fn nothing_else_is_open() {
    for entry in std::fs::read_dir("/proc/self/fd").unwrap() {
        let entry = entry.unwrap();
        let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue; // the listing's own
        };
        let target = target.to_str().unwrap().to_owned();
        let expected = number < 3
            || target.starts_with("/dev/shm/")
            || target == "/dev/null"
            || target == format!("/proc/{}/fd", std::process::id())
            || !target.starts_with('/');
        assert!(expected, "descriptor {number} is {target}");
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
    let (ring, bounds, _fence, _) = Fence::open(&options, face);
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
        0,
        1,
        2,
        3,
        7,
        8,
        9,
        15,
        16,
        24,
        64,
        4096,
        8192,
        1 << 24,
        (1 << 24) + 1,
        1 << 32,
        1 << 40,
        1 << 47,
        1 << 48,
        (1 << 48) + 1,
        1 << 61,
        1 << 62,
        1 << 63,
        u64::MAX - 7,
        u64::MAX,
    ];
    let size = |random: &mut Random, now: u64| match random.below(4) {
        0 => now.wrapping_add(1),
        1 => now.wrapping_sub(1),
        _ => sizes[random.below(sizes.len())],
    };
    for _ in 0..1 + random.below(2) {
        match random.below(9) {
            0 => other.strategy = [0, 1, 2, 6, 7, 255, u32::MAX][random.below(7)],
            1 | 2 => other.capacity = size(random, head.capacity),
            3 | 4 => other.elem_size = size(random, head.elem_size),
            5 => other.elem_align = size(random, head.elem_align),
            6 => other.flags = [0, FLAG_RECORDS, 2, 3, 1 << 31, u32::MAX][random.below(6)],
            7 => {
                other.participants =
                    [0, 1, 2, 64, 1 << 16, (1 << 16) + 1, u32::MAX][random.below(7)]
            }
            _ => other.length = size(random, head.length),
        }
    }
    other
}

/// Opens in every way; each answer is an error that says something, or a ring that works.
fn open_in_every_way(name: &str, random: &mut Random) -> (usize, usize) {
    let base = Options {
        capacity: 0,
        path: Some(name.into()),
        open: OpenMode::Attach,
        ..Options::default()
    };
    let ways = [
        (base.clone(), Face::Typed),
        (
            Options {
                elem_size: 0,
                ..base.clone()
            },
            Face::Plain,
        ),
        (
            Options {
                elem_size: 24,
                capacity: 8,
                ..base.clone()
            },
            Face::Plain,
        ),
        (
            Options {
                elem_size: 24,
                records: true,
                ..base.clone()
            },
            Face::Records,
        ),
        (
            Options {
                strategy: Some(Strategy::Turn),
                capacity: 8,
                open: OpenMode::CreateOrAttach,
                ..base
            },
            Face::Typed,
        ),
    ];
    let (mut opened, mut refused) = (0, 0);
    for (options, face) in ways {
        match Victim::open(&options, face) {
            Ok(ring) => {
                opened += 1;
                // Its mapping comes after that of older ones: only guard pages then.
                for _ in 0..20 {
                    ring.call(random, &Bounds::ANYWHERE);
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
                let lengths = [
                    0,
                    1,
                    8,
                    63,
                    64,
                    65,
                    128,
                    639,
                    640,
                    641,
                    1024,
                    length - 1,
                    length - 8,
                    length - 128,
                    length + 1,
                    length + 4096,
                ];
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
    assert!(
        opened > 20 && refused > HEADS as usize,
        "{opened} opened, {refused} refused"
    );
    Segment::unlink(name).unwrap();
}

#[test]
fn a_wrong_head_is_an_error_or_a_ring_that_works() {
    for strategy in strategies() {
        let name = Name::new(&format!("heads-{strategy}"));
        survives(
            Peer::start("heads", &format!("{strategy} {}", name.0)),
            &strategy.to_string(),
        );
    }
}

#[test]
fn each_damage_has_its_own_text() {
    let head = Head {
        strategy: 0,
        capacity: 8,
        elem_size: 24,
        elem_align: 8,
        flags: 0,
        participants: 0,
        length: 4096,
    };
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
    assert!(matches!(
        refused(with(0, b't'), 4096, "magic"),
        BuildError::Corrupt(_)
    ));
    assert!(matches!(
        refused(with(8, 99), 4096, "layout version 99"),
        BuildError::Mismatch(_)
    ));
    assert!(matches!(
        refused(with(17, 1), 4096, "checksum"),
        BuildError::Corrupt(_)
    ));
    assert!(matches!(
        refused(with(60, !good[60]), 4096, "checksum"),
        BuildError::Corrupt(_)
    ));
    assert!(matches!(
        refused(good, 4095, "truncated"),
        BuildError::Corrupt(_)
    ));
    let future = Head { flags: 6, ..head }.encode();
    assert!(matches!(
        refused(future, 4096, "0x6"),
        BuildError::Mismatch(_)
    ));
}
