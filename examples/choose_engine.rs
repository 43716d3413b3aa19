//! The engine is one word, chosen when the program runs: `choose_engine spsc`.

use turtle_buffers::{BuildError, RingBuffer, Strategy};

fn main() -> Result<(), BuildError> {
    let wanted: Vec<Strategy> = match std::env::args().nth(1) {
        Some(name) => vec![name.parse()?],
        None => Strategy::ALL.to_vec(),
    };
    for strategy in wanted {
        let ring = RingBuffer::<String>::builder()
            .strategy(strategy)
            .capacity(3)
            .build()?;
        let (mut producer, mut consumer) = (ring.try_producer()?, ring.try_consumer()?);
        for word in ["one", "two", "three"] {
            producer
                .push(word.to_owned())
                .expect("there is room for three");
        }
        assert!(
            producer.try_push("four".to_owned()).is_err(),
            "capacity is exact"
        );
        ring.close();
        assert_eq!(consumer.iter().collect::<Vec<_>>(), ["one", "two", "three"]);
        println!(
            "{strategy}: a stopped thread {}",
            strategy.traits().stopped_thread
        );
    }
    Ok(())
}
