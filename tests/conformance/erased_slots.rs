//! The face over byte records: slots that are lent, to write and to read in place.

use turtle_buffers::Strategy;
use turtle_buffers::erased::Outcome;

use crate::erased::{Checked, element, records, ring};

pub(crate) fn a_claimed_slot_is_committed_or_abandoned_once(strategy: Strategy) {
    for capacity in [1, 2, 3, 8] {
        let ring = ring(strategy, capacity, 8);
        for lap in 0..3 * capacity {
            let mut slot = std::ptr::null_mut();
            assert_eq!(ring.claim(&mut slot), Outcome::Ok);
            // SAFETY: claimed, 8 bytes; asking about it again is part of the test.
            unsafe {
                slot.copy_from(element(8, lap).as_ptr(), 8);
                assert_eq!(
                    ring.commit_record(slot, 8),
                    Outcome::Invalid,
                    "no records here"
                );
                assert_eq!(ring.commit(slot), Outcome::Ok);
                assert_eq!(
                    ring.commit(slot),
                    Outcome::Invalid,
                    "capacity {capacity}: a second commit"
                );
            }
            assert_eq!(ring.abandon(slot), Outcome::Invalid, "it is the ring's now");
            assert_eq!(ring.release(slot), Outcome::Invalid, "it was not peeked at");
            assert_eq!(ring.len(), 1);
            assert_eq!(ring.get().unwrap(), element(8, lap));
            assert_eq!(ring.get(), Err(Outcome::Empty));

            assert_eq!(ring.claim(&mut slot), Outcome::Ok);
            assert_eq!(ring.abandon(slot), Outcome::Ok);
            assert_eq!(ring.abandon(slot), Outcome::Invalid, "a second time");
            assert_eq!(
                // SAFETY: as above.
                unsafe { ring.commit(slot) },
                Outcome::Invalid,
                "it was given back"
            );
            assert_eq!(ring.get(), Err(Outcome::Empty));
        }
        // A slot that was claimed a lap ago is not claimed now.
        let mut slot = std::ptr::null_mut();
        assert_eq!(ring.claim(&mut slot), Outcome::Ok);
        // SAFETY: as above.
        assert_eq!(unsafe { ring.commit(slot) }, Outcome::Ok);
        for _ in 1..capacity {
            assert_eq!(ring.put(&[0; 8]), Outcome::Ok);
        }
        // SAFETY: as above.
        assert_eq!(unsafe { ring.commit(slot) }, Outcome::Invalid);
        assert_eq!(ring.put(&[0; 8]), Outcome::Full);
        assert_eq!(ring.len(), capacity);
        assert_eq!(ring.claim(&mut slot), Outcome::Full);
    }
}

pub(crate) fn a_claimed_record_is_committed_with_its_length(strategy: Strategy) {
    let ring = records(strategy, 2, 32);
    let mut slot = std::ptr::null_mut();
    assert_eq!(ring.claim(&mut slot), Outcome::Ok);
    // SAFETY: claimed, 32 bytes.
    unsafe {
        slot.copy_from(b"in place".as_ptr(), 8);
        assert_eq!(
            ring.commit(slot),
            Outcome::Invalid,
            "a record needs its length"
        );
        assert_eq!(
            ring.commit_record(slot, ring.elem_size() + 1),
            Outcome::Invalid
        );
        assert_eq!(ring.commit_record(slot, 8), Outcome::Ok);
        assert_eq!(ring.commit_record(slot, 8), Outcome::Invalid);
    }
    let (mut read, mut len) = (std::ptr::null(), 0);
    assert_eq!(ring.peek(&mut read, &mut len), Outcome::Ok);
    assert_eq!(len, 8);
    assert_eq!(
        // SAFETY: peeked at, 8 bytes.
        unsafe { std::slice::from_raw_parts(read, len) },
        b"in place"
    );
    assert_eq!(ring.release(read), Outcome::Ok);
    assert!(ring.is_empty());
}

pub(crate) fn a_peeked_slot_is_released_once(strategy: Strategy) {
    for capacity in [1, 2, 3, 8] {
        let ring = ring(strategy, capacity, 16);
        for lap in 0..3 * capacity {
            for i in 0..capacity {
                assert_eq!(ring.put(&element(16, lap + i)), Outcome::Ok);
            }
            let (mut slot, mut len) = (std::ptr::null(), 0);
            assert_eq!(ring.peek(&mut slot, &mut len), Outcome::Ok);
            assert_eq!(len, 16);
            assert_eq!(
                // SAFETY: peeked at, 16 bytes.
                unsafe { std::slice::from_raw_parts(slot, len) },
                element(16, lap)
            );
            if !strategy.traits().records {
                // Otherwise the consumer has given a cell of its own for it.
                assert!(matches!(ring.put(&[0; 16]), Outcome::Full | Outcome::Busy));
            }
            assert_eq!(
                ring.abandon(slot.cast_mut()),
                Outcome::Invalid,
                "it was not claimed"
            );
            assert_eq!(ring.release(slot), Outcome::Ok);
            assert_eq!(
                ring.release(slot),
                Outcome::Invalid,
                "capacity {capacity}: a second release"
            );
            for i in 1..capacity {
                assert_eq!(ring.get().unwrap(), element(16, lap + i));
            }
            assert_eq!(ring.get(), Err(Outcome::Empty));
            assert_eq!(ring.release(slot), Outcome::Invalid, "nothing is out");
            assert_eq!(ring.len(), 0);
            let stats = ring.stats();
            assert_eq!(stats.pushed, stats.popped);
        }
        assert_eq!(ring.peek(&mut std::ptr::null(), &mut 0), Outcome::Empty);
    }
}

pub(crate) fn addresses_that_are_no_slot_are_refused(strategy: Strategy) {
    let ring = ring(strategy, 4, 24);
    let mut slot = std::ptr::null_mut();
    assert_eq!(ring.claim(&mut slot), Outcome::Ok);
    let mut elsewhere = [0_u8; 64];
    let strange = [
        std::ptr::null_mut(),
        elsewhere.as_mut_ptr(),
        slot.wrapping_add(1),
        slot.wrapping_sub(1),
        slot.wrapping_add(8),
        slot.wrapping_add(24 * 64),
        slot.wrapping_sub(24 * 64),
        std::ptr::without_provenance_mut(usize::MAX),
        std::ptr::without_provenance_mut(1),
    ];
    for address in strange {
        // SAFETY: the address is refused before anything is written there.
        unsafe {
            assert_eq!(ring.commit(address), Outcome::Invalid, "{address:?}");
        }
        assert_eq!(ring.abandon(address), Outcome::Invalid, "{address:?}");
        assert_eq!(ring.release(address), Outcome::Invalid, "{address:?}");
    }
    // SAFETY: claimed, 24 bytes.
    unsafe {
        slot.write_bytes(9, 24);
        assert_eq!(ring.commit(slot), Outcome::Ok);
    }
    assert_eq!(ring.get().unwrap(), [9; 24]);
}
