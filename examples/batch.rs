//! Many elements with one decision: the cheapest way to move small ones.

use turtle_buffers::{Batch, BuildError, Ring, strategy::Spsc};

fn main() -> Result<(), BuildError> {
    let ring = Ring::<u32, Spsc>::new(256)?;
    let (mut producer, mut consumer) = (ring.try_producer()?, ring.try_consumer()?);
    let readings: Vec<u32> = (0..100_000).collect();
    let worker = std::thread::spawn(move || {
        // Waits for room as often as needed, until all are in.
        let pushed = producer
            .push_batch(&mut Batch::new(readings))
            .expect("nobody closes it yet");
        producer.ring().close();
        pushed
    });

    let mut all = Vec::new();
    let mut calls = 0;
    // Waits for one element, then takes what is there, 64 at the most.
    while consumer.pop_batch(&mut all, 64).is_ok() {
        calls += 1;
    }
    assert_eq!(worker.join().unwrap(), all.len());
    assert!(all.iter().copied().eq(0..100_000));
    println!("{} elements in {calls} calls", all.len());
    Ok(())
}
