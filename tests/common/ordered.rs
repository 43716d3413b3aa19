//! Clients for the orderings of the exchange ring that no client of a queue
//! misses: hints, helping, recovery. Each is as small as its hazard allows.
//!
//! In some a thread dies in the middle of a call (`mortal.rs`). Only an engine
//! that is helped and that recovers the dead has an answer then, so these are
//! written for that engine alone.

use std::sync::Arc;

use turtle_buffers::atomic::{Profile, Step, Tracker, Tuned, Word};
use turtle_buffers::strategy::wait_free::{
    ANNOUNCE_FENCE, CLAIM, COMPLETE, CONFIRM, DECIDE, NOTE_WRITE, PENDING_STATE,
};
use turtle_buffers::strategy::{Direction, Geometry, Typed, WaitFree};

use super::by_hand::client;
use super::clients::Client;
use super::mortal::{Mortal, comes_by, dies_before};
use super::raw::{Popper, Pusher, RawQueue, USUAL_PATIENCE, Wide};
use super::{Answer, thread};

type Engine = WaitFree<Mortal>;
type Queue<T = u64> = RawQueue<Engine, T>;

/// The clients' own flags.
const FLAG: Step = Step::new("FLAG");

/// A hint is moved where 16 positions end.
const GROUP: u64 = 16;

/// All of them.
pub fn clients() -> Vec<Client> {
    vec![
        client(
            "hint_told",
            "who goes on from a hint, and pushes, hides what was pushed before",
            2,
            &["- | ok", "1 | ok", "2 | ok"],
            hint_told,
        ),
        client(
            "room_told",
            "a push that has the room of a pop does not come after it",
            2,
            &["ok | full", "full | ok", "full | full"],
            room_told,
        ),
        client(
            "room_part",
            "a push that has the room of a part of a run does not come after it",
            2,
            &["full", "ok"],
            room_part,
        ),
        client(
            "room_again",
            "a push that knows of room from a hint does not come after the pops below it",
            0,
            &["fine"],
            room_again,
        ),
        client(
            "closed_told",
            "who looks whether it is closed does not come after the closing",
            2,
            &["false", "true"],
            closed_told,
        ),
        client(
            "positions_told",
            "an observer that goes on from a hint sees more popped than pushed",
            2,
            &["15,15", "16,15", "16,16"],
            positions_told,
        ),
        client(
            "helped_take",
            "whose pop was completed reads what it does not see written",
            1,
            &["1 | 2", "2 | 1", "empty | 1"],
            helped_take,
        ),
        client(
            "helped_seen",
            "who has seen an announcement does not see what is announced, and does not help",
            1,
            &["no, 0", "yes, 1"],
            helped_seen,
        ),
        client(
            "helped_dead",
            "a claim for somebody else is taken for a dead one",
            1,
            &["0 ok ok | fine", "1 ok ok | fine"],
            || helped_dead(false),
        ),
        client(
            "helped_seal",
            "closing overwrites a claim for somebody else",
            2,
            &[
                "0 closed ok | fine",
                "0 ok ok | fine",
                "1 ok ok | fine",
                "1 closed ok | fine",
            ],
            || helped_dead(true),
        ),
        client(
            "late_help",
            "a late helper confirms a newer operation in an older slot",
            0,
            &["0 more | fine"],
            late_help,
        ),
        client(
            "recover_passed",
            "a cell is not found where it went, and belongs to two",
            0,
            &["1 | fine"],
            || recover_passed(USUAL_PATIENCE, true),
        ),
        client(
            "recover_tried",
            "an exchange that did not take place is taken for one that did",
            1,
            &["0 | fine"],
            recover_tried,
        ),
        client(
            "recover_two",
            "a cell is not found with somebody who is being recovered, too",
            1,
            &["1 1 | fine"],
            recover_two,
        ),
        client(
            "recover_announced",
            "a cell is not found with whom an announced pop gave it to",
            1,
            &["1 | fine"],
            || recover_passed(0, false),
        ),
        client(
            "recover_popped",
            "who recovers a consumer does not find the cell it gave, which is pushed again",
            1,
            &["1 | fine"],
            || recover_pop(true),
        ),
        client(
            "recover_unpopped",
            "who recovers a consumer that took nothing finds the cell it had, as if it had given that",
            1,
            &["0 | fine"],
            || recover_pop(false),
        ),
        client(
            "recover_help",
            "a dead consumer is helped while it is recovered",
            1,
            &["1 1 | fine", "0 0 | fine"],
            recover_help,
        ),
        client(
            "recover_three",
            "two are recovered while the exchange of one is completed",
            1,
            &["1 1 | fine"],
            || recover_three(COMPLETE),
        ),
        client(
            "recover_undecided",
            "two are recovered while the pop of one is not decided yet",
            1,
            &["1 1 | fine", "1 0 | fine"],
            || recover_three(CONFIRM),
        ),
        client(
            "recover_idle",
            "what a consumer had handed out before it died is handed out again",
            1,
            &["1 0 | fine"],
            recover_idle,
        ),
        client(
            "recover_look",
            "who looks at a place without its lock sees what never was",
            1,
            &["Free", "Taken"],
            recover_look,
        ),
        client(
            "recover_helped",
            "a cell that was got for the dead is written while it is read",
            1,
            &["0 ok ok", "1 ok full"],
            recover_helped,
        ),
    ]
}

fn geometry<T>(capacity: usize, participants: usize, shared: bool) -> Geometry<Typed<T>> {
    let mut geometry = Geometry::new(capacity, Typed::new(), shared);
    geometry.participants = participants;
    geometry.patience = USUAL_PATIENCE;
    geometry
}

/// Pushes and pops `n` elements.
fn warm(pusher: &mut Pusher<Engine>, popper: &mut Popper<Engine>, n: u64) {
    let mut done = 0;
    while done < n {
        let run = (n - done).min(4) as usize;
        assert_eq!(pusher.push_copies(&[0; 4][..run]), Answer::Pushed(run));
        assert_eq!(popper.pop_copies(run), Answer::Run([0; 4], run));
        done += run as u64;
    }
}

/// Everything is somewhere once: the cells, and these elements, which are
/// popped elsewhere or left.
fn accounts<T>(queue: &Queue<T>, pushed: &[u64], popped: &[u64]) -> String {
    if let Err(why) = queue.audit() {
        return why;
    }
    let left = queue.left();
    let mut all: Vec<_> = popped.iter().chain(&left).copied().collect();
    all.sort_unstable();
    if all == pushed {
        "fine".into()
    } else {
        format!("popped {popped:?} left {left:?} of {pushed:?}")
    }
}

fn hint_told() -> String {
    let queue = Queue::with(4, 2);
    let (mut first, mut popper) = (queue.pusher(), queue.popper());
    warm(&mut first, &mut popper, GROUP - 1);
    let flag = Arc::new(Word::new(0));
    let teller = thread::spawn(move || first.push(1));
    let jumper = thread::spawn({
        let (queue, flag) = (queue.clone(), flag.clone());
        move || {
            let mut second = queue.pusher();
            let answer = second.push(2);
            flag.store(1, Tuned::release(FLAG));
            answer
        }
    });
    let mine = match flag.load(Tuned::acquire(FLAG)) {
        0 => "-".to_string(),
        _ => popper.pop().to_string(),
    };
    drop(popper);
    assert_eq!(teller.join().unwrap(), Answer::Ok);
    format!("{mine} | {}", jumper.join().unwrap())
}

fn room_told() -> String {
    let queue = Queue::with(1, 2);
    let (mut first, mut second, mut popper) = (queue.pusher(), queue.pusher(), queue.popper());
    assert_eq!(first.push(1), Answer::Ok);
    let message = Arc::new(Tracker::new());
    let push = |pusher: &mut Pusher<Engine>, message: &Tracker| {
        let answer = pusher.push(2);
        if answer == Answer::Ok {
            message.reading(|| ());
        }
        answer
    };
    let popping = thread::spawn({
        let message = message.clone();
        move || {
            message.writing(|| ());
            popper.pop()
        }
    });
    let pushing = thread::spawn({
        let message = message.clone();
        move || push(&mut first, &message)
    });
    let mine = push(&mut second, &message);
    drop(second);
    assert_eq!(popping.join().unwrap(), Answer::Got(1));
    format!("{} | {mine}", pushing.join().unwrap())
}

fn room_part() -> String {
    let queue = Queue::with(3, 1);
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    assert_eq!(pusher.push_copies(&[1, 2, 3]), Answer::Pushed(3));
    let message = Arc::new(Tracker::new());
    let popping = thread::spawn({
        let message = message.clone();
        move || {
            message.writing(|| ());
            popper.pop()
        }
    });
    let mine = pusher.push(4);
    if mine == Answer::Ok {
        message.reading(|| ());
    }
    drop(pusher);
    assert_eq!(popping.join().unwrap(), Answer::Got(1));
    mine.to_string()
}

/// A run is popped and its slot used again; who looks for room there goes on
/// from the hint of the pops.
fn room_again() -> String {
    let queue = Queue::with(8, 2);
    let (mut pusher, mut late, mut popper) = (queue.pusher(), queue.pusher(), queue.popper());
    assert_eq!(pusher.push_copies(&[1; 8]), Answer::Pushed(8));
    let message = Arc::new(Word::new(0));
    let pushing = thread::spawn({
        let message = message.clone();
        move || {
            let answer = late.push(2);
            (answer, message.load(Tuned::relaxed(FLAG)))
        }
    });
    let mut order = Vec::new();
    let mut pop = |n| {
        if let Answer::Run(values, n) = popper.pop_copies(n) {
            order.extend(&values[..n]);
        }
    };
    pop(4);
    pop(4);
    pusher.push_copies(&[1; 7]);
    pusher.push(1);
    message.store(1, Tuned::relaxed(FLAG));
    pop(4);
    pop(3);
    pop(1);
    drop((pusher, popper));
    let (answer, told) = pushing.join().unwrap();
    order.extend(queue.left());
    // What it saw matters where there was no room but by what came after the message.
    match order.iter().position(|value| *value == 2) {
        Some(at) if at >= 16 && told == 0 => format!("{answer} at {at}, not told"),
        _ => "fine".into(),
    }
}

fn closed_told() -> String {
    let queue = Queue::with(1, 1);
    let message = Arc::new(Tracker::new());
    let closer = thread::spawn({
        let (queue, message) = (queue.clone(), message.clone());
        move || {
            message.writing(|| ());
            queue.seal();
        }
    });
    let closed = queue.is_sealed();
    if closed {
        message.reading(|| ());
    }
    closer.join().unwrap();
    closed.to_string()
}

fn positions_told() -> String {
    let queue = Queue::with(4, 1);
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    warm(&mut pusher, &mut popper, GROUP - 1);
    let other = thread::spawn(move || {
        assert_eq!(pusher.push(1), Answer::Ok);
        assert_eq!(popper.pop(), Answer::Got(1));
    });
    let (pushed, popped) = queue.positions();
    other.join().unwrap();
    format!("{pushed},{popped}")
}

fn helped_take() -> String {
    let queue = Queue::with(2, 2);
    let (mut helped, mut helper) = (queue.patient(0).popper(), queue.popper());
    let mut pusher = queue.pusher();
    let other = thread::spawn(move || {
        assert_eq!((pusher.push(1), pusher.push(2)), (Answer::Ok, Answer::Ok));
        helper.pop()
    });
    let mine = helped.pop();
    drop(helped);
    format!("{mine} | {}", other.join().unwrap())
}

/// One has announced a push and died. Another, whose push comes to its position,
/// asks for its state only if it has seen that.
fn helped_seen() -> String {
    let queue: Queue = Queue::of(geometry(4, 2, true));
    let (mut dying, mut helper) = (queue.patient(0).pusher(), queue.pusher());
    let helping = thread::spawn(move || comes_by(PENDING_STATE, || helper.push(2)));
    let died = dies_before(ANNOUNCE_FENCE, 1, || {
        dying.push(1);
    });
    assert!(died);
    dying.die();
    let (answer, times) = helping.join().unwrap();
    assert_eq!(answer, Answer::Ok);
    // SAFETY: its owner is dead.
    let left = unsafe { queue.recover(Direction::Push, 0) };
    let seen = if times > 0 { "yes" } else { "no" };
    format!("{seen}, {}", left.done)
}

/// One has announced a push and died; one helps, and one pushes (or closes)
/// over it.
fn helped_dead(seals: bool) -> String {
    let queue: Queue = Queue::of(geometry(4, 3, true));
    let mut dying = queue.patient(0).pusher();
    let (mut helper, mut other) = (queue.pusher(), queue.pusher());
    let dead = thread::spawn(move || {
        // Unless it is closed before.
        if dies_before(ANNOUNCE_FENCE, 1, || {
            dying.push(1);
        }) {
            dying.die();
        }
    });
    let helping = thread::spawn(move || helper.push(2));
    let mine = if seals {
        drop(other);
        queue.seal();
        Answer::Ok
    } else {
        let answer = other.push(3);
        drop(other);
        answer
    };
    let helped = helping.join().unwrap();
    dead.join().unwrap();
    // SAFETY: its owner is dead.
    let left = unsafe { queue.recover(Direction::Push, 0) };
    let pushed = [
        (left.done == 1, 1),
        (helped == Answer::Ok, 2),
        (!seals && mine == Answer::Ok, 3),
    ];
    let pushed: Vec<_> = pushed.iter().filter(|p| p.0).map(|p| p.1).collect();
    format!(
        "{} {helped} {mine} | {}",
        left.done,
        accounts(&queue, &pushed, &[])
    )
}

/// One takes four runs apart by claims of its own, and dies in the fifth; a
/// late helper has seen the first of these claims.
fn late_help() -> String {
    let queue: Queue = Queue::of(geometry(12, 2, true));
    let mut pusher = queue.pusher();
    for run in 0..6 {
        let run = [2 * run + 1, 2 * run + 2];
        assert_eq!(pusher.push_copies(&run), Answer::Pushed(2));
    }
    drop(pusher);
    let (mut dying, mut late) = (queue.popper(), queue.popper());
    let helping = thread::spawn(move || late.pop());
    let mut popped = Vec::new();
    let died = dies_before(CLAIM, 5, || {
        while let Answer::Got(value) = dying.pop() {
            popped.push(value);
        }
    });
    assert!(died, "there are runs enough");
    dying.die();
    let own = popped.len() as u64;
    if let Answer::Got(value) = helping.join().unwrap() {
        popped.push(value);
    }
    // SAFETY: its owner is dead.
    let left = unsafe { queue.recover(Direction::Pop, 0) };
    let pushed: Vec<_> = (1..=12).collect();
    let more = left.done - own;
    format!("{more} more | {}", accounts(&queue, &pushed, &popped))
}

/// A producer died after its exchange; its cell goes on while somebody finds
/// out whether the exchange took place: to a consumer, which leaves, or gives
/// it back for the next element and dies in the attempt after that.
fn recover_passed(patience: u32, further: bool) -> String {
    let queue: Queue = Queue::of(geometry(4, 2, true));
    let mut dying = queue.pusher();
    // The second time it takes notes is after the exchange.
    let died = dies_before(NOTE_WRITE, 2, || {
        dying.push(1);
    });
    assert!(died);
    dying.die();
    let mut pusher = queue.pusher();
    let (pushed, popped): (&[u64], &[u64]) = if further {
        assert_eq!((pusher.push(2), pusher.push(3)), (Answer::Ok, Answer::Ok));
        (&[1, 2, 3], &[1, 2])
    } else {
        (&[1], &[1])
    };
    drop(pusher);
    let mut popper = queue.patient(patience).popper();
    let recovering = thread::spawn({
        let queue = queue.clone();
        // SAFETY: its owner is dead.
        move || unsafe { queue.recover(Direction::Push, 0) }
    });
    for value in popped {
        assert_eq!(popper.pop(), Answer::Got(*value));
    }
    if further {
        let died = dies_before(DECIDE, 1, || {
            popper.pop();
        });
        assert!(died);
        popper.die();
    } else {
        drop(popper);
    }
    let left = recovering.join().unwrap();
    if further {
        // SAFETY: its owner is dead.
        unsafe { queue.recover(Direction::Pop, 0) };
    }
    format!("{} | {}", left.done, accounts(&queue, pushed, popped))
}

/// A producer died before its exchange; its position is somebody else's then,
/// and popped.
fn recover_tried() -> String {
    let queue: Queue = Queue::of(geometry(1, 2, true));
    let (mut dying, mut pusher, mut popper) = (queue.pusher(), queue.pusher(), queue.popper());
    let died = dies_before(DECIDE, 1, || {
        dying.push(1);
    });
    assert!(died);
    dying.die();
    let recovering = thread::spawn({
        let queue = queue.clone();
        // SAFETY: its owner is dead.
        move || unsafe { queue.recover(Direction::Push, 0) }
    });
    assert_eq!((pusher.push(2), popper.pop()), (Answer::Ok, Answer::Got(2)));
    drop((pusher, popper));
    let left = recovering.join().unwrap();
    format!("{} | {}", left.done, accounts(&queue, &[2], &[2]))
}

/// A consumer popped an element and died after that call, beside a push.
fn recover_idle() -> String {
    let queue: Queue = Queue::of(geometry(2, 1, true));
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    assert_eq!(pusher.push(1), Answer::Ok);
    let dead = thread::spawn(move || {
        assert_eq!(popper.pop(), Answer::Got(1));
        popper.die();
    });
    assert_eq!(pusher.push(2), Answer::Ok);
    drop(pusher);
    dead.join().unwrap();
    // SAFETY: its owner is dead.
    let left = unsafe { queue.recover(Direction::Pop, 0) };
    let accounts = accounts(&queue, &[1, 2], &[1]);
    format!("{} {} | {accounts}", left.done, left.orphans)
}

/// Somebody sits down at a free place, and another looks whether it is free.
fn recover_look() -> String {
    let queue: Queue = Queue::of(geometry(1, 1, true));
    let sitting = thread::spawn({
        let queue = queue.clone();
        // SAFETY: nobody has been there.
        move || unsafe { queue.pusher_at(0) }
    });
    let seen = queue.standing(Direction::Push, 0);
    drop(sitting.join().unwrap());
    format!("{seen:?}")
}

/// A producer died after its exchange, and so did the consumer that has popped
/// its element. Both are recovered at once.
fn recover_two() -> String {
    let queue: Queue = Queue::of(geometry(4, 1, true));
    let (mut pusher, mut popper) = (queue.pusher(), queue.popper());
    let died = dies_before(NOTE_WRITE, 2, || {
        pusher.push(1);
    });
    assert!(died);
    pusher.die();
    let died = dies_before(NOTE_WRITE, 2, || {
        popper.pop();
    });
    assert!(died);
    popper.die();
    let other = thread::spawn({
        let queue = queue.clone();
        // SAFETY: its owner is dead.
        move || unsafe { queue.recover(Direction::Pop, 0) }
    });
    // SAFETY: its owner is dead.
    let left = unsafe { queue.recover(Direction::Push, 0) };
    let other = other.join().unwrap();
    assert_eq!(other.orphans, 1);
    format!(
        "{} {} | {}",
        left.done,
        other.done,
        accounts(&queue, &[1], &[1])
    )
}

/// One has announced a push and died. A helper completes it and so gives it a
/// cell that it has read itself; who recovers the dead writes to that.
fn recover_helped() -> String {
    let queue: Queue<Wide> = Queue::of(geometry(2, 4, true));
    let mut pusher = queue.pusher();
    let others = [queue.pusher(), queue.pusher()];
    let mut dying = queue.patient(0).pusher(); // it is its turn at position 3
    let died = dies_before(ANNOUNCE_FENCE, 1, || {
        dying.push(1);
    });
    assert!(died);
    dying.die();
    let mut popper = queue.popper();
    assert_eq!((pusher.push(2), pusher.push(3)), (Answer::Ok, Answer::Ok));
    let helping = thread::spawn(move || {
        assert_eq!(
            (popper.pop(), popper.pop()),
            (Answer::Got(2), Answer::Got(3))
        );
        (pusher.push(4), pusher.push(5))
    });
    // SAFETY: its owner is dead, and it is recovered before it is sat down at.
    let (left, mut mine) = unsafe { (queue.recover(Direction::Push, 3), queue.pusher_at(3)) };
    if mine.claim() == Answer::Ok {
        mine.scribble();
        mine.abandon();
    }
    drop((mine, others));
    let helped = helping.join().unwrap();
    format!("{} {} {}", left.done, helped.0, helped.1)
}

/// A consumer died before or after its exchange; its position is passed, its
/// cell pushed by another, twice.
fn recover_pop(done: bool) -> String {
    let queue: Queue<Wide> = Queue::of(geometry(1, 2, true));
    let (mut dying, mut pusher, mut popper) = (queue.popper(), queue.pusher(), queue.popper());
    assert_eq!(pusher.push(1), Answer::Ok);
    let (step, last) = if done { (NOTE_WRITE, 2) } else { (DECIDE, 1) };
    let died = dies_before(step, last, || {
        dying.pop();
    });
    assert!(died);
    dying.die();
    let recovering = thread::spawn({
        let queue = queue.clone();
        // SAFETY: its owner is dead.
        move || unsafe { queue.recover(Direction::Pop, 0) }
    });
    let mut popped = Vec::new();
    if !done && let Answer::Got(value) = popper.pop() {
        popped.push(value);
    }
    assert_eq!(pusher.push(2), Answer::Ok);
    if let Answer::Got(value) = popper.pop() {
        popped.push(value);
    }
    assert_eq!(pusher.push(3), Answer::Ok);
    drop((popper, pusher));
    let left = recovering.join().unwrap();
    if left.done == 1 {
        popped.push(1);
    }
    format!("{} | {}", left.done, accounts(&queue, &[1, 2, 3], &popped))
}

/// A consumer announced a pop and died; another pops, and completes it.
fn recover_help() -> String {
    let queue: Queue<Wide> = Queue::of(geometry(2, 2, true));
    let (mut dying, mut pusher, mut popper) =
        (queue.patient(0).popper(), queue.pusher(), queue.popper());
    assert_eq!((pusher.push(1), pusher.push(2)), (Answer::Ok, Answer::Ok));
    let died = dies_before(ANNOUNCE_FENCE, 1, || {
        dying.pop();
    });
    assert!(died);
    dying.die();
    let recovering = thread::spawn({
        let queue = queue.clone();
        // SAFETY: its owner is dead.
        move || unsafe { queue.recover(Direction::Pop, 0) }
    });
    let mut popped = Vec::new();
    if let Answer::Got(value) = popper.pop() {
        popped.push(value);
    }
    assert_eq!(pusher.push(3), Answer::Ok);
    drop((popper, pusher));
    let left = recovering.join().unwrap();
    if left.done == 1 {
        popped.push(1);
    }
    format!(
        "{} {} | {}",
        left.done,
        left.orphans,
        accounts(&queue, &[1, 2, 3], &popped)
    )
}

/// A producer died after its exchange, and a consumer while it completed a pop
/// of that. Both are recovered while somebody else pops.
fn recover_three(step: Step) -> String {
    let queue: Queue = Queue::of(geometry(4, 2, true));
    let (mut dying, mut pusher) = (queue.pusher(), queue.pusher());
    let (mut helped, mut popper) = (queue.patient(0).popper(), queue.popper());
    let died = dies_before(NOTE_WRITE, 2, || {
        dying.push(1);
    });
    assert!(died);
    dying.die();
    assert_eq!(pusher.push(2), Answer::Ok);
    drop(pusher);
    let died = dies_before(step, 1, || {
        helped.pop();
    });
    assert!(died);
    helped.die();
    let [first, second] = [Direction::Push, Direction::Pop].map(|direction| {
        thread::spawn({
            let queue = queue.clone();
            // SAFETY: its owner is dead.
            move || unsafe { queue.recover(direction, 0) }
        })
    });
    let mut popped = Vec::new();
    if let Answer::Got(value) = popper.pop() {
        popped.push(value);
    }
    drop(popper);
    let (first, second) = (first.join().unwrap(), second.join().unwrap());
    if second.done == 1 {
        popped.push(1);
    }
    format!(
        "{} {} | {}",
        first.done,
        second.done,
        accounts(&queue, &[1, 2], &popped)
    )
}
