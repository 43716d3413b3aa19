//! Names: finding, refusing, removing, permissions.

use super::*;
use turtle_buffers::Batch;

#[test]
fn what_exists_and_what_does_not_is_said() {
    for strategy in strategies() {
        let name = Name::new(&format!("exists-{strategy}"));
        let missing =
            Ring::<u64>::open(&options(&name.0, strategy, 4, OpenMode::Attach)).unwrap_err();
        assert!(matches!(missing, BuildError::NotFound(_)), "{missing:?}");
        let text = missing.to_string();
        assert!(
            text.contains(&name.0) && text.contains("create it first"),
            "{text}"
        );

        let _ring = create(&name, strategy, 4);
        let exists =
            Ring::<u64>::open(&options(&name.0, strategy, 4, OpenMode::CreateNew)).unwrap_err();
        assert!(matches!(exists, BuildError::Exists(_)), "{exists:?}");
        let text = exists.to_string();
        assert!(
            text.contains(&name.0) && text.contains("attach") && text.contains("unlink"),
            "{text}"
        );
        // Both other modes find it.
        for mode in [OpenMode::CreateOrAttach, OpenMode::Attach] {
            let ring: RingBuffer<u64> = Ring::open(&options(&name.0, strategy, 4, mode)).unwrap();
            assert_eq!(ring.capacity(), 4);
        }
    }
}

#[test]
fn bad_names_are_errors() {
    for name in [
        "",
        "/",
        "ticks",
        "/a/b",
        "/.",
        "/..",
        "/a\0b",
        &format!("/{}", "x".repeat(300)),
    ] {
        for mode in [
            OpenMode::CreateOrAttach,
            OpenMode::CreateNew,
            OpenMode::Attach,
        ] {
            let why = Ring::<u64>::open(&options(name, Strategy::Turn, 4, mode)).unwrap_err();
            assert!(matches!(why, BuildError::Invalid(_)), "{name:?}: {why:?}");
        }
    }
}

#[test]
fn a_mismatch_names_both_sides() {
    let refused = |options: &Options, words: &[&str]| {
        let why = Ring::<u64>::open(options).unwrap_err();
        assert!(matches!(why, BuildError::Mismatch(_)), "{why:?}");
        let text = why.to_string();
        assert!(
            words.iter().all(|w| text.contains(w)),
            "{words:?} in {text:?}"
        );
    };
    for strategy in strategies() {
        let name = Name::new(&format!("mismatch-{strategy}"));
        let _ring = create(&name, strategy, 4);
        for mode in [OpenMode::CreateOrAttach, OpenMode::Attach] {
            refused(
                &options(&name.0, strategy, 5, mode),
                &[&name.0, "capacity 4 there", "5 asked"],
            );
            let base = options(&name.0, strategy, 4, mode);
            let small = Ring::<u32>::open(&base).unwrap_err().to_string();
            assert!(small.contains("element size 8 there, 4 asked"), "{small}");
            assert!(
                small.contains("element alignment 8 there, 4 asked"),
                "{small}"
            );
            let wide = Ring::<[u64; 2]>::open(&base).unwrap_err().to_string();
            assert!(wide.contains("element size 8 there, 16 asked"), "{wide}");
            let records = open_erased(&Options {
                records: true,
                ..base.clone()
            })
            .unwrap_err()
            .to_string();
            assert!(records.contains("flags 0 there, 1 asked"), "{records}");
            let aligned = open_erased(&Options {
                elem_align: 64,
                ..base
            })
            .unwrap_err()
            .to_string();
            assert!(
                aligned.contains("element alignment 8 there, 64 asked"),
                "{aligned}"
            );
        }
        for other in strategies().filter(|&s| s != strategy) {
            let there = format!("strategy {strategy} there");
            refused(
                &options(&name.0, other, 4, OpenMode::CreateOrAttach),
                &[&there, &format!("{other} asked")],
            );
            refused(
                &options(&name.0, other, 7, OpenMode::Attach),
                &[&there, "capacity 4 there, 7 asked"],
            );
        }
    }
}

#[test]
fn attaching_takes_what_is_there_if_nothing_is_said() {
    for strategy in strategies() {
        let name = Name::new(&format!("open-{strategy}"));
        let ring = create(&name, strategy, 7);
        ring.producer().unwrap().push(11).unwrap();
        let whatever = Options {
            capacity: 0,
            path: Some(name.0.clone()),
            open: OpenMode::Attach,
            ..Options::default()
        };
        let there: RingBuffer<u64> = Ring::open(&whatever).unwrap();
        assert_eq!(
            (there.capacity(), there.traits().name),
            (7, strategy.name())
        );
        let there = open_erased(&Options {
            elem_size: 0,
            ..whatever
        })
        .unwrap();
        assert_eq!(
            (there.capacity(), there.elem_size(), there.elem_align()),
            (7, 8, 8)
        );
        assert_eq!(
            (there.strategy(), there.has_records(), there.is_shared()),
            (strategy, false, true)
        );
        assert_eq!(there.len(), 1);

        // Records and odd sizes, too.
        let name = Name::new(&format!("open-records-{strategy}"));
        let made = Options {
            elem_size: 21,
            elem_align: 64,
            records: true,
            ..options(&name.0, strategy, 3, OpenMode::CreateNew)
        };
        let ring = open_erased(&made).unwrap();
        let there = open_erased(&Options {
            elem_size: 0,
            capacity: 0,
            strategy: None,
            records: false,
            elem_align: 0,
            open: OpenMode::Attach,
            ..made.clone()
        })
        .unwrap();
        assert_eq!(
            (there.capacity(), there.elem_size(), there.elem_align()),
            (3, ring.elem_size(), 64)
        );
        assert!(there.has_records());
        let again = open_erased(&Options {
            open: OpenMode::Attach,
            ..made
        })
        .unwrap();
        // SAFETY: slices, here and below.
        unsafe {
            assert_eq!(ring.push_record(b"hello".as_ptr(), 5, None), Outcome::Ok);
            let (mut data, mut len) = ([0; 21], 0);
            assert_eq!(
                again.pop_record(data.as_mut_ptr(), 21, &mut len, None),
                Outcome::Ok
            );
            assert_eq!(&data[..len], b"hello");
        }
    }
}

#[test]
fn the_segment_is_private_unless_asked_otherwise() {
    for (mode, asked) in [(0o600, None), (0o660, Some(0o660)), (0o640, Some(0o640))] {
        let name = Name::new(&format!("mode-{mode:o}"));
        let mut options = options(&name.0, Strategy::Turn, 4, OpenMode::CreateNew);
        options.mode = asked.unwrap_or(options.mode);
        let _ring = Ring::<u64>::open(&options).unwrap();
        let bits = std::fs::metadata(name.file()).unwrap().permissions().mode() & 0o777;
        assert_eq!(bits, mode, "{bits:o}");
    }
}

#[test]
fn an_unlinked_ring_goes_on_without_its_name() {
    for strategy in strategies() {
        let name = Name::new(&format!("unlink-{strategy}"));
        let ring = create(&name, strategy, 4);
        let other = attach(&name.0);
        Segment::unlink(&name.0).unwrap();
        assert!(!name.file().exists());
        ring.producer().unwrap().push(1).unwrap();
        assert_eq!(other.consumer().unwrap().pop(), Ok(1));
        // The name is free for another ring.
        let new = create(&name, strategy, 9);
        assert_eq!((new.len(), new.capacity()), (0, 9));
        ring.producer().unwrap().push(2).unwrap();
        assert_eq!((new.len(), other.len()), (0, 1));
    }
}

#[test]
fn an_unused_ring_keeps_its_elements_and_can_be_removed() {
    for strategy in strategies() {
        let name = Name::new(&format!("stale-{strategy}"));
        let ring = create(&name, strategy, 4);
        ring.producer().unwrap().push(5).unwrap();
        drop(ring);
        let ring = attach(&name.0);
        assert!(
            !Segment::unlink_stale(&name.0).unwrap(),
            "somebody is attached"
        );
        assert_eq!(ring.consumer().unwrap().pop(), Ok(5));
        drop(ring);
        assert!(Segment::unlink_stale(&name.0).unwrap());
        assert!(!name.file().exists());
    }
}

#[test]
fn a_ring_that_cannot_be_leaves_no_name() {
    for (capacity, label) in [
        (0, "zero"),
        (usize::MAX, "max"),
        (1 << 60, "sixty"),
        (1 << 44, "forty-four"),
    ] {
        let name = Name::new(&format!("huge-{label}"));
        for mode in [OpenMode::CreateNew, OpenMode::CreateOrAttach] {
            let why =
                Ring::<u64>::open(&options(&name.0, Strategy::Turn, capacity, mode)).unwrap_err();
            assert!(
                matches!(why, BuildError::Invalid(_) | BuildError::NoMemory(_)),
                "{why:?}"
            );
            assert!(!why.to_string().is_empty());
            assert!(!name.file().exists());
        }
    }
}

#[test]
fn typed_and_erased_rings_are_the_same_ring() {
    for strategy in strategies() {
        let name = Name::new(&format!("faces-{strategy}"));
        let typed = create(&name, strategy, 5);
        let erased = open_erased(&options(&name.0, strategy, 5, OpenMode::Attach)).unwrap();
        assert!(erased.is_shared());
        for lap in 0..7_u64 {
            let mut tx = typed.producer().unwrap();
            tx.push(lap).unwrap();
            tx.push_batch(&mut Batch::new([lap + 1, lap + 2])).unwrap();
            drop(tx);
            let mut got = [0_u64; 3];
            let mut done = 0;
            // SAFETY: room for three elements of 8 bytes.
            let outcome = unsafe { erased.pop_n(got.as_mut_ptr().cast(), 3, None, &mut done) };
            assert_eq!(
                (outcome, done, got),
                (Outcome::Ok, 3, [lap, lap + 1, lap + 2])
            );
            assert_eq!(
                // SAFETY: one element.
                unsafe { erased.try_push((&raw const lap).cast()) },
                Outcome::Ok
            );
            erased.release_thread();
            assert_eq!(typed.consumer().unwrap().pop(), Ok(lap));
        }
        erased.close();
        assert!(typed.is_closed());
        assert_eq!(typed.consumer().unwrap().pop(), Err(PopError::Closed));
    }
}

#[test]
fn an_interrupt_stays_in_its_process() {
    let name = Name::new("interrupt");
    let ring = create(&name, Strategy::Turn, 4);
    let mut sleeper = Peer::start("sleep", &name.0);
    sleeper.expect("ready");
    ring.interrupt();
    attach(&name.0).interrupt();
    ring.producer().unwrap().push(3).unwrap();
    assert_eq!(sleeper.hear(), "Ok(3)");
    sleeper.finish();
}
