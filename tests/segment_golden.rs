//! The bytes of shared segments, kept: another build, another language or next year's version must
//! find what this one wrote.
//!
//! `tests/golden/*.txt` hold them as text. `TURTLE_BLESS=1` writes files that are missing or whose
//! layout version is not this library's. Bytes that change under the same version are refused: two
//! builds would take each other's segments for their own. Raise `LAYOUT_VERSION` first; only while
//! a version was never released, remove the file and bless again.
#![cfg(all(target_os = "linux", target_endian = "little"))]

mod support;

use std::fmt::Write;
use std::path::PathBuf;

use support::peer::Name;
use turtle_buffers::erased::{self, Outcome};
use turtle_buffers::segment::{FLAG_RECORDS, Head, LAYOUT_VERSION, MAGIC};
use turtle_buffers::{OpenMode, Options, Ring, RingBuffer, Strategy};

/// Lines of 16 bytes; runs of zero lines are one `*`, as in `hexdump`.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut skipping = false;
    for (line, row) in bytes.chunks(16).enumerate() {
        if row.iter().all(|&b| b == 0) && line > 0 {
            if !std::mem::replace(&mut skipping, true) {
                text.push_str("*\n");
            }
            continue;
        }
        skipping = false;
        write!(text, "{:05x} ", line * 16).unwrap();
        for byte in row {
            write!(text, " {byte:02x}").unwrap();
        }
        text.push('\n');
    }
    writeln!(text, "{:05x}", bytes.len()).unwrap();
    text
}

fn same_as_kept(name: &str, sections: &[(&str, Vec<u8>)]) {
    let mut now = format!("layout version {LAYOUT_VERSION}\n");
    for (title, bytes) in sections {
        write!(now, "\n{title}\n{}", hex(bytes)).unwrap();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.txt"));
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    if kept == now {
        return;
    }
    let version = |text: &str| text.lines().next().unwrap_or("nothing kept").to_string();
    let same_version = version(&kept) == version(&now);
    if std::env::var_os("TURTLE_BLESS").is_some() && !same_version {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
        return;
    }
    let (old, new): (Vec<_>, Vec<_>) = (kept.lines().collect(), now.lines().collect());
    let mut difference = String::new();
    for at in 0..old.len().max(new.len()) {
        let (was, is) = (old.get(at).unwrap_or(&""), new.get(at).unwrap_or(&""));
        if was != is {
            writeln!(difference, "- {was}\n+ {is}").unwrap();
        }
    }
    let advice = if same_version {
        "the bytes changed under the same layout version: raise LAYOUT_VERSION in src/segment.rs"
    } else {
        "another layout version: TURTLE_BLESS=1 keeps the new bytes"
    };
    panic!("tests/golden/{name}.txt: {advice}\n{difference}");
}

#[test]
fn heads_keep_their_bytes() {
    let small = Head {
        strategy: 0,
        capacity: 3,
        elem_size: 8,
        elem_align: 8,
        flags: 0,
        participants: 0,
        length: 1024,
    };
    let odd = Head {
        strategy: 6,
        capacity: 0x0102_0304_0506_0708,
        elem_size: 16 << 20,
        elem_align: 4096,
        flags: FLAG_RECORDS,
        participants: 0,
        length: u64::MAX,
    };
    let crowded = Head {
        strategy: 2,
        participants: 0x0102_0304,
        ..small
    };
    assert_eq!(small.encode()[..8], MAGIC);
    same_as_kept(
        "heads",
        &[
            ("a small ring", small.encode().to_vec()),
            ("large numbers, records", odd.encode().to_vec()),
            ("participants", crowded.encode().to_vec()),
        ],
    );
    for head in [small, crowded] {
        assert_eq!(Head::decode(&head.encode(), 1024).unwrap(), head);
    }
}

/// A ring with three slots in the states a ring goes through.
fn life_of_a_ring(strategy: Strategy) -> Vec<(&'static str, Vec<u8>)> {
    let name = Name::new(&format!("golden-{strategy}"));
    let options = Options {
        strategy: Some(strategy),
        capacity: 3,
        path: Some(name.0.clone()),
        open: OpenMode::CreateNew,
        max_threads: 2,
        ..Options::default()
    };
    let ring: RingBuffer<u64> = Ring::open(&options).unwrap();
    let bytes = || std::fs::read(name.file()).unwrap();
    let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
    let mut states = vec![("three slots of 8 bytes, new", bytes())];
    tx.try_push(0x1111_1111_1111_1111).unwrap();
    tx.try_push(0x2222_2222_2222_2222).unwrap();
    states.push(("two pushed", bytes()));
    tx.try_push(0x3333_3333_3333_3333).unwrap();
    rx.try_pop().unwrap();
    rx.try_pop().unwrap();
    tx.try_push(0x4444_4444_4444_4444).unwrap();
    states.push(("four pushed, two popped", bytes()));
    ring.close();
    states.push(("closed", bytes()));
    states
}

fn records(strategy: Strategy) -> (&'static str, Vec<u8>) {
    let name = Name::new(&format!("golden-records-{strategy}"));
    let options = Options {
        strategy: Some(strategy),
        capacity: 2,
        elem_size: 20,
        elem_align: 16,
        records: true,
        path: Some(name.0.clone()),
        open: OpenMode::CreateNew,
        max_threads: 2,
        ..Options::default()
    };
    // SAFETY: no hook.
    let ring = unsafe { erased::open(&options, None) }.unwrap();
    for record in [&b"a record"[..], b"and a longer one"] {
        assert_eq!(
            // SAFETY: a slice.
            unsafe { ring.push_record(record.as_ptr(), record.len(), None) },
            Outcome::Ok
        );
    }
    (
        "two records of up to 20 bytes, aligned to 16",
        std::fs::read(name.file()).unwrap(),
    )
}

#[test]
fn segments_keep_their_bytes() {
    for &strategy in Strategy::ALL.iter().filter(|s| s.traits().shared) {
        let mut sections = life_of_a_ring(strategy);
        sections.push(records(strategy));
        same_as_kept(&format!("segment-{strategy}"), &sections);
    }
}

/// What was written once is read today: the kept bytes, as a segment, drain.
#[test]
fn kept_segments_can_be_attached() {
    for &strategy in Strategy::ALL.iter().filter(|s| s.traits().shared) {
        let (_, bytes) = life_of_a_ring(strategy).remove(2);
        let name = Name::new(&format!("golden-attach-{strategy}"));
        std::fs::write(name.file(), bytes).unwrap();
        let options = Options {
            capacity: 0,
            path: Some(name.0.clone()),
            open: OpenMode::Attach,
            ..Options::default()
        };
        let ring: RingBuffer<u64> = Ring::open(&options).unwrap();
        assert_eq!((ring.traits().name, ring.len()), (strategy.name(), 2));
        let (mut tx, mut rx) = (ring.producer().unwrap(), ring.consumer().unwrap());
        tx.try_push(5).unwrap();
        assert_eq!(rx.try_pop(), Ok(0x3333_3333_3333_3333));
        assert_eq!(rx.try_pop(), Ok(0x4444_4444_4444_4444));
        assert_eq!(rx.try_pop(), Ok(5));
    }
}
