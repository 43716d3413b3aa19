//! Three threads push, two pop; closing the ring ends the pops when everything was taken.

use std::thread;

use turtle_buffers::{BuildError, Ring, strategy::Turn};

fn main() -> Result<(), BuildError> {
    let ring = Ring::<(u32, u64), Turn>::new(128)?;
    let sums = thread::scope(|scope| -> Result<Vec<u64>, BuildError> {
        let mut pushing = Vec::new();
        for id in 0..3 {
            let mut producer = ring.try_producer()?;
            pushing.push(scope.spawn(move || {
                for number in 1..=1000 {
                    producer
                        .push((id, number))
                        .expect("it is closed after the last push");
                }
            }));
        }
        let mut popping = Vec::new();
        for _ in 0..2 {
            let mut consumer = ring.try_consumer()?;
            popping.push(scope.spawn(move || {
                // A consumer sees each producer's items in the order in which they were pushed.
                let mut newest = [0; 3];
                consumer
                    .iter()
                    .map(|(id, number)| {
                        assert!(number > newest[id as usize]);
                        newest[id as usize] = number;
                        number
                    })
                    .sum::<u64>()
            }));
        }
        for producer in pushing {
            producer.join().unwrap();
        }
        ring.close();
        Ok(popping
            .into_iter()
            .map(|consumer| consumer.join().unwrap())
            .collect())
    })?;
    println!("the consumers' sums: {sums:?}");
    assert_eq!(sums.iter().sum::<u64>(), 3 * 500_500);
    Ok(())
}
