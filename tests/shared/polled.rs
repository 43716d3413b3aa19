//! Event descriptors: processes that poll, and are told by others.

use std::time::Instant;

use turtle_buffers::wait::RECHECK;

use super::death::now;
use super::*;

/// Longer than anything takes.
const LONG: i32 = 60_000;

pub(crate) fn readable(fd: i32, milliseconds: i32) -> bool {
    let mut poll = libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor to look at.
    let n = unsafe { libc::poll(&raw mut poll, 1, milliseconds) };
    n == 1 && poll.revents & libc::POLLIN != 0
}

fn open(name: &str) -> Arc<dyn DynRing> {
    open_erased(&Options {
        elem_size: 0,
        capacity: 0,
        path: Some(name.into()),
        open: OpenMode::Attach,
        ..Options::default()
    })
    .unwrap()
}

pub(crate) fn pop(ring: &dyn DynRing) -> Result<u64, Outcome> {
    let mut value = 0_u64;
    // SAFETY: one element.
    match unsafe { ring.try_pop((&raw mut value).cast()) } {
        Outcome::Ok => Ok(value),
        why => Err(why),
    }
}

pub(crate) fn push(ring: &dyn DynRing, value: u64) {
    // SAFETY: one element.
    let outcome = unsafe { ring.try_push((&raw const value).cast()) };
    assert_eq!(outcome, Outcome::Ok);
}

/// Polls until there is an element, or an end.
fn next(ring: &dyn DynRing, fd: i32) -> Result<u64, Outcome> {
    loop {
        match pop(ring) {
            Err(Outcome::Empty | Outcome::Busy) => assert!(readable(fd, LONG), "never told"),
            answer => return answer,
        }
    }
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// The FIFOs beside segments that are here now, for the segment of this file.
fn bell_of(file: &std::path::Path) -> std::path::PathBuf {
    use std::os::unix::fs::MetadataExt;
    let number = file.metadata().unwrap().ino();
    std::path::Path::new("/dev/shm").join(format!(".turtle-bell-{number:x}"))
}

// ---- what peers do ------------------------------------------------------------

/// Pops from one ring and pushes to the other; waits by polling only.
pub(crate) fn echo(names: &str) {
    let (from, to) = names.split_once(' ').unwrap();
    let (from, to) = (open(from), open(to));
    let before = threads();
    let fd = from.clone().event_fd().unwrap();
    say("ready");
    while let Ok(value) = next(&*from, fd) {
        push(&*to, value);
        assert_eq!(threads(), before, "a thread was made");
    }
    to.close();
}

/// Each line: takes one element by polling and says it, without a look at what is behind it.
pub(crate) fn take_one(name: &str) {
    let ring = open(name);
    let fd = ring.clone().event_fd().unwrap();
    assert_eq!(pop(&*ring), Err(Outcome::Empty), "announced");
    say("ready");
    while listen() == "take" {
        match next(&*ring, fd) {
            Ok(value) => say(&value.to_string()),
            Err(why) => say(&format!("{why:?}")),
        }
    }
}

// ---- tests ------------------------------------------------------------

/// Were these wake-ups left to the timer, each lap would take twice that long.
#[test]
fn polled_wake_ups_between_processes_are_not_left_to_the_timer_and_need_no_thread() {
    const LAPS: u32 = 200;
    for strategy in strategies() {
        let (there, back) = (
            Name::new(&format!("polled-there-{strategy}")),
            Name::new(&format!("polled-back-{strategy}")),
        );
        let _made = (create(&there, strategy, 4), create(&back, strategy, 4));
        let mut peer = Peer::start("poll-echo", &format!("{} {}", there.0, back.0));
        peer.expect("ready");
        let (to, from) = (open(&there.0), open(&back.0));
        let fd = from.clone().event_fd().unwrap();
        assert_eq!(
            from.clone().event_fd().unwrap(),
            fd,
            "one for each ring and process"
        );
        let begun = Instant::now();
        for lap in 0..u64::from(LAPS) {
            push(&*to, lap);
            assert_eq!(next(&*from, fd), Ok(lap), "{strategy}");
        }
        let took = begun.elapsed();
        println!("{strategy}: {LAPS} laps in {took:?}");
        to.close();
        assert_eq!(next(&*from, fd), Err(Outcome::Closed));
        assert!(
            readable(fd, 0),
            "a closed ring stays readable: nobody waits for nothing"
        );
        peer.finish();
        assert!(took < RECHECK * LAPS / 2, "{took:?}");
    }
}

#[test]
fn every_process_that_polls_is_told() {
    let strategy = Strategy::Turn; // several consumers
    let name = Name::new("polled-by-many");
    let ring = create(&name, strategy, 8);
    let mut peers: Vec<_> = (0..4).map(|_| Peer::start("poll-one", &name.0)).collect();
    peers.iter_mut().for_each(|peer| peer.expect("ready"));
    let mut tx = ring.producer().unwrap();
    let begun = Instant::now();
    let rounds = 50;
    for round in 0..rounds {
        // Each takes one and leaves the others, so no one of them may keep the news to itself.
        peers.iter_mut().for_each(|peer| peer.tell("take"));
        (0..4).for_each(|i| tx.push(round * 4 + i).unwrap());
        let mut got: Vec<u64> = peers
            .iter_mut()
            .map(|peer| peer.hear().parse().unwrap())
            .collect();
        got.sort_unstable();
        assert_eq!(got, Vec::from_iter(round * 4..round * 4 + 4));
    }
    println!("{rounds} rounds in {:?}", begun.elapsed());
    peers.iter_mut().for_each(|peer| peer.tell("take"));
    ring.close();
    for mut peer in peers {
        peer.expect("Closed");
        peer.tell("enough");
        peer.finish();
    }
}

#[test]
fn a_poller_that_is_killed_disturbs_nobody() {
    use std::os::unix::fs::FileExt;
    for strategy in strategies() {
        let name = Name::new(&format!("polled-killed-{strategy}"));
        let ring = create(&name, strategy, 4);
        let file = std::fs::File::open(name.file()).unwrap();
        // The first word of the consumers' bench; its two lowest bits are who waits.
        let waiting = || {
            let mut word = [0; 8];
            file.read_exact_at(&mut word, 128).unwrap();
            u64::from_le_bytes(word) & 3
        };
        for _ in 0..3 {
            let mut poller = Peer::start("poll-one", &name.0);
            poller.expect("ready");
            assert_eq!(waiting(), 3, "it is announced");
            poller.kill();
            assert_eq!(waiting(), 3, "and that stays");
            let mut tx = ring.producer().unwrap();
            tx.push(1).unwrap();
            assert_eq!(waiting(), 0, "until somebody would have woken it");
            // The next one is told.
            assert_eq!(ring.consumer().unwrap().pop(), Ok(1));
            let mut poller = Peer::start("poll-one", &name.0);
            poller.expect("ready");
            poller.tell("take");
            tx.push(2).unwrap();
            poller.expect("2");
            poller.tell("enough");
            poller.finish();
        }
    }
}

/// Delays of a poller whose peer was killed before it could ring.
fn delays_without_a_bell(strategy: Strategy) -> Vec<Duration> {
    (0..9)
        .map(|_| {
            let name = Name::new(&format!("polled-publish-{strategy}"));
            let _made = create(&name, strategy, 1);
            let ring = open(&name.0);
            let fd = ring.clone().event_fd().unwrap();
            let poller = std::thread::spawn(move || (next(&*ring, fd), now()));
            let mut peer = Peer::start("publish", &format!("{strategy} {}", name.0));
            peer.expect("ready");
            peer.tell("go");
            let done = Duration::from_nanos(peer.hear().parse().unwrap());
            let (value, told) = poller.join().unwrap();
            assert_eq!(value, Ok(7));
            told.saturating_sub(done)
        })
        .collect()
}

#[test]
fn a_peer_killed_before_it_rings_delays_a_poller_by_20_ms_at_most() {
    for strategy in strategies() {
        // A machine that is busy elsewhere may spoil one measurement, not three.
        let holds = (1..=3).any(|attempt| {
            let mut delays = delays_without_a_bell(strategy);
            delays.sort_unstable();
            println!("{strategy}, attempt {attempt}: {delays:?}");
            delays[delays.len() / 2] <= Duration::from_millis(20)
                && delays[delays.len() - 1] <= Duration::from_millis(100)
        });
        assert!(holds, "{strategy}");
    }
}

#[test]
fn the_fifo_goes_with_the_name_and_is_no_ring() {
    let name = Name::new("polled-name");
    let made = create(&name, Strategy::Turn, 4);
    let bell = bell_of(&name.file());
    assert!(!bell.exists(), "nobody polls, so there is none");
    let ring = open(&name.0);
    let fd = ring.clone().event_fd().unwrap();
    assert!(bell.exists());
    let mode = bell.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let listed = Segment::list(|_| true);
    assert!(listed.iter().any(|info| info.name == name.0));
    assert!(!listed.iter().any(|info| info.name.contains("turtle-bell")));
    let as_ring = format!("/{}", bell.file_name().unwrap().to_str().unwrap());
    let why = Segment::unlink(&as_ring).unwrap_err().to_string();
    assert!(why.contains("reserved"), "{why}");

    Segment::unlink(&name.0).unwrap();
    assert!(!bell.exists());
    // Who has the ring goes on, also one that never rang before.
    assert_eq!(pop(&*ring), Err(Outcome::Empty));
    made.producer().unwrap().push(1).unwrap();
    assert!(readable(fd, LONG));
    assert_eq!(next(&*ring, fd), Ok(1));
    // Under the same name: another ring, another FIFO.
    let new = create(&name, Strategy::Turn, 4);
    let other = open(&name.0);
    other.clone().event_fd().unwrap();
    let new_bell = bell_of(&name.file());
    assert!(new_bell.exists() && new_bell != bell);
    drop((new, other));
    assert!(Segment::unlink_stale(&name.0).unwrap());
    assert!(!new_bell.exists());
}

/// Its descriptor is first asked for when the name is gone, as between a process and the children
/// that it forks: nobody would remove a FIFO that had a name.
#[test]
fn a_ring_without_a_name_leaves_no_fifo_behind() {
    let name = Name::new("polled-late");
    let _made = create(&name, Strategy::Turn, 4);
    let ring = open(&name.0);
    let bell = bell_of(&name.file());
    Segment::unlink(&name.0).unwrap();
    let fd = ring.clone().event_fd().unwrap();
    assert!(!bell.exists());
    push(&*ring, 5);
    assert!(readable(fd, LONG));
    assert_eq!(next(&*ring, fd), Ok(5));
}

/// `rm /dev/shm/ticks` knows nothing of FIFOs; the next creation does.
#[test]
fn a_fifo_without_its_ring_is_swept_away() {
    let name = Name::new("polled-orphan");
    let made = create(&name, Strategy::Turn, 4);
    let ring = open(&name.0);
    ring.clone().event_fd().unwrap();
    let bell = bell_of(&name.file());
    let kept = Name::new("polled-kept");
    let _kept = create(&kept, Strategy::Turn, 4);
    open(&kept.0).event_fd().unwrap();
    assert!(bell.exists(), "while the ring is there");
    std::fs::remove_file(name.file()).unwrap();
    drop((made, ring));
    assert!(bell.exists());
    let _next = create(&name, Strategy::Turn, 4);
    assert!(!bell.exists());
    assert!(bell_of(&kept.file()).exists(), "another ring's stays");
}

#[test]
fn what_lies_in_the_fifos_place_is_an_error_and_stops_no_push() {
    let name = Name::new("polled-foreign");
    let made = create(&name, Strategy::Turn, 4);
    let bell = bell_of(&name.file());
    std::fs::write(&bell, b"what is this").unwrap();
    let ring = open(&name.0);
    let why = ring.clone().event_fd().unwrap_err().to_string();
    assert!(why.contains("is not a FIFO"), "{why}");
    assert!(why.contains(bell.to_str().unwrap()), "{why}");
    // Somebody polls, so they say: a producer leaves the file alone and goes on.
    let segment = Segment::open(&name.0).unwrap();
    // SAFETY: the first word of the consumers' bench, aligned and mapped.
    unsafe { segment.base().add(128).cast::<u64>().write_volatile(7) };
    made.producer().unwrap().push(1).unwrap();
    assert_eq!(pop(&*ring), Ok(1));
    assert_eq!(std::fs::read(&bell).unwrap(), b"what is this");
    std::fs::remove_file(&bell).unwrap();
    assert!(ring.event_fd().is_ok(), "it was refused, not given up");
}
