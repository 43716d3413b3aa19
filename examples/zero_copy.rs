//! A large element is built in its slot and read there: it is never moved.

use turtle_buffers::{BuildError, Ring, TryPopError, strategy::Turn};

struct Frame {
    number: u32,
    pixels: [u8; 64 * 1024],
}

fn main() -> Result<(), BuildError> {
    let ring = Ring::<Frame, Turn>::new(4)?;
    let (mut producer, mut consumer) = (ring.try_producer()?, ring.try_consumer()?);
    for number in 0..20 {
        let mut claim = producer
            .try_claim()
            .expect("there is room: each frame is taken at once");
        let frame = claim.slot().as_mut_ptr();
        // SAFETY: the slot is this claim's alone, and both fields are written before the commit.
        let committed = unsafe {
            (&raw mut (*frame).number).write(number);
            (&raw mut (*frame).pixels).write_bytes(number as u8, 1);
            claim.commit_in_place()
        };
        assert!(committed.is_ok(), "the ring is open");

        let frame = consumer.try_peek().expect("just pushed");
        assert_eq!(frame.number, number);
        assert!(frame.pixels.iter().all(|pixel| *pixel == number as u8));
        // Dropping the guard gives the slot back.
    }
    // A claim that is dropped leaves no trace.
    drop(producer.try_claim());
    assert_eq!(consumer.try_peek().err(), Some(TryPopError::Empty));
    println!("20 frames of 64 KiB were written and read in place");
    Ok(())
}
