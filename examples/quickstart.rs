//! A thousand numbers from one thread to another.

use turtle_buffers::{BuildError, Ring, strategy::Turn};

fn main() -> Result<(), BuildError> {
    let ring = Ring::<u64, Turn>::new(64)?;
    let (mut producer, mut consumer) = (ring.try_producer()?, ring.try_consumer()?);
    let worker = std::thread::spawn(move || {
        for number in 1..=1000 {
            producer.push(number).unwrap(); // waits while the ring is full
        }
        ring.close();
    });
    let sum: u64 = consumer.iter().sum(); // ends when the ring is closed and drained
    worker.join().unwrap();
    println!("sum {sum}");
    assert_eq!(sum, 500_500);
    Ok(())
}
