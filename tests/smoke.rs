//! The thinnest path through every layer.
use std::time::Duration;
use turtle_buffers::strategy::{Any, Engine, Spsc, Turn};
use turtle_buffers::*;

fn through<S: Engine>() {
    let ring = Ring::<String, S>::new(3).unwrap();
    let mut tx = ring.producer().unwrap();
    let mut rx = ring.consumer().unwrap();
    assert_eq!(rx.try_pop(), Err(TryPopError::Empty));
    for i in 0..3 {
        tx.try_push(i.to_string()).unwrap();
    }
    assert_eq!(tx.try_push("x".into()), Err(TryPushError::Full("x".into())));
    assert_eq!(rx.try_pop().unwrap(), "0");
    let mut more = vec!["a".to_string(), "b".into()].into_iter();
    assert_eq!(tx.try_push_batch(&mut more), Ok(1));
    let mut out = Vec::new();
    assert_eq!(rx.pop_batch(&mut out, 10), Ok(3));
    assert_eq!(out, ["1", "2", "a"]);
    assert_eq!(rx.pop_timeout(Duration::from_millis(5)), Err(PopError::Timeout));
    let consumer = std::thread::spawn(move || rx.iter().collect::<Vec<_>>());
    for i in 0..100 {
        tx.push(i.to_string()).unwrap();
    }
    ring.close();
    assert_eq!(tx.try_push("late".into()), Err(TryPushError::Closed("late".into())));
    let got = consumer.join().unwrap();
    assert_eq!(got, (0..100).map(|i| i.to_string()).collect::<Vec<_>>());
    assert_eq!(ring.stats().pushed, 104);
}

#[test]
fn elements_pass_through_every_engine() {
    through::<Turn>();
    through::<Spsc>();
    through::<Any>();
}
