//! Two processes and a shared ring: this program starts itself again as the other side.

use std::error::Error;
use std::process::Command;

use turtle_buffers::os::segment::Segment;
use turtle_buffers::{OpenMode, RingBuffer, Strategy};

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::args().nth(1) {
        Some(name) => child(&name),
        None => parent(),
    }
}

/// Creates the ring and pops. Attaching needs the name and the same element type, nothing else.
fn parent() -> Result<(), Box<dyn Error>> {
    let name = format!("/turtle-example-{}", std::process::id());
    let ring = RingBuffer::<u64>::builder()
        .strategy(Strategy::Spsc)
        .capacity(64)
        .mode(OpenMode::CreateNew)
        .open(&name)?;
    let mut other = Command::new(std::env::current_exe()?).arg(&name).spawn()?;
    let mut consumer = ring.try_consumer()?;
    // Ends when the child has closed the ring and everything was taken.
    let sum: u64 = consumer.iter().sum();
    let ended = other.wait()?;
    // The memory goes with the last process that has it.
    Segment::unlink(&name)?;
    assert!(ended.success());
    assert_eq!(sum, 500_500);
    println!("the other process sent 1 to 1000: sum {sum}");
    Ok(())
}

fn child(name: &str) -> Result<(), Box<dyn Error>> {
    let ring = RingBuffer::<u64>::builder()
        .capacity(0)
        .mode(OpenMode::Attach)
        .open(name)?;
    let mut producer = ring.try_producer()?;
    for number in 1..=1000 {
        producer.push(number)?;
    }
    ring.close();
    Ok(())
}
