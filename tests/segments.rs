//! Shared segments between real processes: making, finding, losing them, and who is alive.
//!
//! Processes are started by running this test program again with `TURTLE_TEST_CASE` naming a case
//! of [`child_entry`]. Parent and child talk in lines over pipes, so no test sleeps to wait for
//! another process.
#![cfg(target_os = "linux")]
// Counters in shared memory between test processes; the rings' own atomics are not under test here.
#![allow(clippy::disallowed_types)]

use std::cell::Cell;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Instant;

use turtle_buffers::os::segment::{Segment, SegmentError};
use turtle_buffers::os::{barrier, fork, futex};

const PAGE: usize = 4096;

// ---- tools ----------------------------------------------------------------------------------

/// A name that is removed at the end, however the test ends.
struct Name(String);

impl Name {
    fn new(label: &str) -> Name {
        Name(format!("/turtle-test-{}-{label}", std::process::id()))
    }

    fn file(&self) -> PathBuf {
        Path::new("/dev/shm").join(&self.0[1..])
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.0);
    }
}

fn nothing(_: *mut u8) -> Result<(), SegmentError> {
    Ok(())
}

fn create(name: &Name) -> Segment {
    Segment::create(&name.0, PAGE, 0o600, nothing).unwrap()
}

fn word(segment: &Segment, index: usize) -> &AtomicU32 {
    assert!((index + 1) * 4 <= segment.len());
    // SAFETY: in bounds, aligned, and lives as long as the mapping; only atomics touch these words.
    unsafe { AtomicU32::from_ptr(segment.base().as_ptr().cast::<u32>().add(index)) }
}

/// Temporary files of the process `pid`, living or dead.
fn drafts_of(pid: u32) -> Vec<PathBuf> {
    let start = format!(".turtle-new-{pid}-");
    let entries = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let ours = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(&start));
    ours.map(|entry| entry.path()).collect()
}

/// This test program, run again as one case of [`child_entry`].
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Peer {
    fn command(case: &str, argument: &str) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "child_entry", "--nocapture", "--test-threads=1"])
            .env("TURTLE_TEST_CASE", case)
            .env("TURTLE_TEST_ARGUMENT", argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        command
    }

    fn start(case: &str, argument: &str) -> Peer {
        Peer::spawn(&mut Peer::command(case, argument)).unwrap()
    }

    fn spawn(command: &mut Command) -> io::Result<Peer> {
        let mut child = command.spawn()?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Ok(Peer {
            child,
            input,
            output,
        })
    }

    /// The next line that the case itself wrote, without its mark.
    fn hear(&mut self) -> String {
        loop {
            let mut line = String::new();
            let got = self.output.read_line(&mut line).unwrap();
            assert!(
                got > 0,
                "the child said nothing more: {:?}",
                self.child.wait()
            );
            if let Some(said) = line.strip_prefix('@') {
                return said.trim_end().to_owned();
            }
        }
    }

    fn expect(&mut self, what: &str) {
        assert_eq!(self.hear(), what);
    }

    fn go_on(&mut self) {
        self.input.as_mut().unwrap().write_all(b"\n").unwrap();
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        assert_eq!(self.child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }

    fn finish(mut self) {
        drop(self.input.take());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        assert!(self.child.wait().unwrap().success(), "{rest}");
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line to the parent; the test harness writes to the same pipe, so lines of ours are marked.
fn say(what: &str) {
    // One write, so that a forked child's lines cannot mix with its parent's.
    let line = format!("\n@{what}\n");
    io::stdout().lock().write_all(line.as_bytes()).unwrap();
    io::stdout().lock().flush().unwrap();
}

/// Waits for the parent's `go_on` (or its end).
fn listen() {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line).unwrap();
}

/// The other processes of these tests begin here. Without a case it is no test and passes.
#[test]
fn child_entry() {
    let Ok(case) = std::env::var("TURTLE_TEST_CASE") else {
        return;
    };
    let argument = std::env::var("TURTLE_TEST_ARGUMENT").unwrap();
    // Ends a case whose parent went wrong.
    // SAFETY: alarm takes a number.
    unsafe { libc::alarm(60) };
    match case.as_str() {
        "umask" => case_umask(&argument),
        "die-in-init" => case_die_in_init(&argument),
        "pause-in-init" => case_pause_in_init(&argument),
        "race" => case_race(&argument),
        "own" => case_own(&argument),
        "attach" => case_attach(&argument),
        "descriptor" => case_descriptor(&argument),
        "fork" => case_fork(&argument),
        "bare-clone" => case_bare_clone(&argument),
        "fork-often" => case_fork_often(&argument),
        "sleep-on-word" => case_sleep_on_word(&argument),
        "no-membarrier" => case_no_membarrier(),
        "full" => case_full(),
        "sweep" => case_sweep(),
        "open-files" => case_open_files(),
        _ => panic!("no case {case}"),
    }
}

// ---- making, finding, removing --------------------------------------------------------------

#[test]
fn a_segment_is_shared_and_its_name_can_go_first() {
    let name = Name::new("shared");
    assert!(matches!(
        Segment::open(&name.0),
        Err(SegmentError::NotFound)
    ));
    let init = |base: *mut u8| {
        // SAFETY: the base of PAGE zero bytes that nobody else has.
        let bytes = unsafe { std::slice::from_raw_parts_mut(base, PAGE) };
        assert!(bytes.iter().all(|&byte| byte == 0));
        bytes[..4].copy_from_slice(&7_u32.to_ne_bytes());
        Ok(())
    };
    let one = Segment::create(&name.0, PAGE, 0o600, init).unwrap();
    assert!(matches!(
        Segment::create(&name.0, PAGE, 0o600, nothing),
        Err(SegmentError::Exists)
    ));
    let two = Segment::open(&name.0).unwrap();
    assert_eq!((two.len(), two.name()), (PAGE, Some(name.0.as_str())));
    assert_eq!(two.base().as_ptr().addr() % PAGE, 0);
    assert_ne!(one.base(), two.base());
    assert_eq!(word(&two, 0).load(Ordering::Relaxed), 7);
    Segment::unlink(&name.0).unwrap();
    assert!(matches!(
        Segment::open(&name.0),
        Err(SegmentError::NotFound)
    ));
    assert!(matches!(
        Segment::unlink(&name.0),
        Err(SegmentError::NotFound)
    ));
    word(&one, 1).store(9, Ordering::Relaxed);
    assert_eq!(word(&two, 1).load(Ordering::Relaxed), 9);
}

#[test]
fn odd_lengths_are_kept_and_zero_is_refused() {
    let name = Name::new("odd");
    let odd = Segment::create(&name.0, PAGE + 1, 0o600, nothing).unwrap();
    assert_eq!(odd.len(), PAGE + 1);
    assert_eq!(Segment::open(&name.0).unwrap().len(), PAGE + 1);
    let other = Name::new("zero");
    assert!(matches!(
        Segment::create(&other.0, 0, 0o600, nothing),
        Err(SegmentError::Unsupported(_))
    ));
    assert!(!other.file().exists());
}

#[test]
fn bad_names_reach_no_file() {
    for name in [
        "",
        "x",
        "/",
        "/a/b",
        "/../etc/passwd",
        "/a\0b",
        "/.",
        "/..",
        "/.turtle-new-1-0-0",
    ] {
        let refused = |answer: Result<(), SegmentError>| {
            assert!(
                matches!(answer, Err(SegmentError::Name(_))),
                "{name:?}: {answer:?}"
            );
        };
        refused(Segment::create(name, PAGE, 0o600, nothing).map(drop));
        refused(Segment::open(name).map(drop));
        refused(Segment::open_or_create(name, PAGE, 0o600, nothing).map(drop));
        refused(Segment::unlink(name));
        refused(Segment::unlink_stale(name).map(drop));
    }
}

#[test]
fn the_mode_is_exact_whatever_the_umask() {
    let name = Name::new("mode");
    Peer::start("umask", &name.0).finish();
    for mode in [0o400, 0o060, 0o1600, 0o10600] {
        let answer = Segment::create(&name.0, PAGE, mode, nothing);
        assert!(
            matches!(answer, Err(SegmentError::Unsupported(_))),
            "{mode:o}: {answer:?}"
        );
    }
}

fn case_umask(name: &str) {
    for umask in [0, 0o777, 0o022] {
        // SAFETY: umask takes a number; this process makes no other files.
        unsafe { libc::umask(umask) };
        for mode in [0o600, 0o660, 0o666] {
            let segment = Segment::create(name, PAGE, mode, nothing).unwrap();
            let facts = std::fs::metadata(Path::new("/dev/shm").join(&name[1..])).unwrap();
            assert_eq!(facts.permissions().mode() & 0o7777, mode, "umask {umask:o}");
            drop(segment);
            Segment::unlink(name).unwrap();
        }
    }
}

#[test]
fn what_is_no_segment_is_refused() {
    let name = Name::new("foreign");
    let file = name.file();
    let refused = |what: &str| {
        let answer = Segment::open(&name.0);
        assert!(
            matches!(answer, Err(SegmentError::Foreign(_))),
            "{what}: {answer:?}"
        );
        let made = Segment::open_or_create(&name.0, PAGE, 0o600, nothing);
        assert!(
            matches!(made, Err(SegmentError::Foreign(_))),
            "{what}: {made:?}"
        );
        let made = Segment::create(&name.0, PAGE, 0o600, nothing);
        assert!(
            matches!(made, Err(SegmentError::Exists)),
            "{what}: {made:?}"
        );
    };
    std::fs::write(&file, b"").unwrap();
    refused("an empty file");
    std::fs::remove_file(&file).unwrap();

    let target = Name::new("target");
    let _there = create(&target);
    std::os::unix::fs::symlink(target.file(), &file).unwrap();
    refused("a link to a good segment");
    std::fs::remove_file(&file).unwrap();

    std::fs::create_dir(&file).unwrap();
    refused("a directory");
    std::fs::remove_dir(&file).unwrap();

    let socket = std::os::unix::net::UnixListener::bind(&file).unwrap();
    refused("a socket");
    drop(socket);
    std::fs::remove_file(&file).unwrap();

    let path = std::ffi::CString::new(file.to_str().unwrap()).unwrap();
    // SAFETY: the path ends with a NUL and lives through the call.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    assert!(std::fs::metadata(&file).unwrap().file_type().is_fifo());
    refused("a FIFO");
}

#[test]
fn a_strangers_file_is_refused_unless_a_group_shares_it() {
    let name = Name::new("stranger");
    let _segment = create(&name);
    let file = name.file();
    let group = std::fs::metadata(&file).unwrap().gid();
    if std::os::unix::fs::chown(&file, Some(54_321), Some(54_321)).is_err() {
        println!("skipped: only root can make a file of another user");
        return;
    }
    for mode in [0o600, 0o660, 0o666] {
        std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).unwrap();
        let answer = Segment::open(&name.0);
        assert!(
            matches!(answer, Err(SegmentError::Foreign(_))),
            "{mode:o}: {answer:?}"
        );
    }
    std::os::unix::fs::chown(&file, None, Some(group)).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o660)).unwrap();
    Segment::open(&name.0).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    assert!(matches!(
        Segment::open(&name.0),
        Err(SegmentError::Foreign(_))
    ));
}

#[test]
fn a_failing_or_panicking_init_leaves_nothing() {
    let name = Name::new("init");
    let failed = Segment::create(&name.0, PAGE, 0o600, |_| {
        Err(SegmentError::Foreign("on purpose".into()))
    });
    assert!(matches!(failed, Err(SegmentError::Foreign(why)) if why == "on purpose"));
    let seen = Cell::new(0);
    let mine = || {
        // Other tests of this process make drafts too: look for the one that holds our mark.
        let holds_mark =
            |path: &PathBuf| std::fs::read(path).is_ok_and(|b| b.starts_with(b"init-mark"));
        drafts_of(std::process::id())
            .iter()
            .filter(|path| holds_mark(path))
            .count()
    };
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Segment::create(&name.0, PAGE, 0o600, |base| {
            // SAFETY: PAGE writable bytes that nobody else has.
            unsafe { base.copy_from_nonoverlapping(b"init-mark".as_ptr(), 9) };
            seen.set(mine());
            panic!("on purpose");
        })
    }));
    assert!(panicked.is_err());
    assert_eq!((seen.get(), mine()), (1, 0));
    assert!(matches!(
        Segment::open(&name.0),
        Err(SegmentError::NotFound)
    ));
    create(&name);
}

#[test]
fn the_loser_of_a_creation_changes_nothing() {
    let name = Name::new("loser");
    let mut winner = None;
    let lost = Segment::create(&name.0, PAGE, 0o600, |_| {
        // Nobody can see the outer one yet, so the inner one takes the name.
        winner = Some(create(&name));
        Ok(())
    });
    assert!(matches!(lost, Err(SegmentError::Exists)));
    Segment::unlink(&name.0).unwrap();

    let (segment, created) = Segment::open_or_create(&name.0, PAGE, 0o600, |base| {
        winner = Some(create(&name));
        // SAFETY: PAGE writable bytes that nobody else has.
        unsafe { base.write(1) };
        Ok(())
    })
    .unwrap();
    assert!(!created);
    word(winner.as_ref().unwrap(), 0).store(5, Ordering::Relaxed);
    assert_eq!(
        word(&segment, 0).load(Ordering::Relaxed),
        5,
        "it is the winner's memory"
    );
}

#[test]
fn of_two_racing_processes_exactly_one_creates() {
    let control = Name::new("control");
    let shared = Segment::create(&control.0, PAGE, 0o600, nothing).unwrap();
    let peers = [
        Peer::start("race", &control.0),
        Peer::start("race", &control.0),
    ];
    for peer in peers {
        peer.finish();
    }
    for round in 0..RACES {
        assert_eq!(
            word(&shared, CREATED + round).load(Ordering::Relaxed),
            1,
            "round {round}"
        );
    }
    let drafts = word(&shared, DRAFTS).load(Ordering::Relaxed);
    println!("{drafts} drafts for {RACES} segments: the rest opened at once");
    assert!(drafts as usize >= RACES);
}

const RACES: usize = 200;
const ARRIVED: usize = 0;
const DRAFTS: usize = 1;
const CREATED: usize = 8;

fn case_race(control: &str) {
    let shared = Segment::open(control).unwrap();
    let mut met = 0;
    let mut meet = || {
        met += 2;
        word(&shared, ARRIVED).fetch_add(1, Ordering::AcqRel);
        while word(&shared, ARRIVED).load(Ordering::Acquire) < met {
            std::thread::yield_now();
        }
    };
    let name = format!("{control}-race");
    for round in 0..RACES {
        meet();
        let (segment, created) = Segment::open_or_create(&name, 2 * PAGE, 0o600, |base| {
            word(&shared, DRAFTS).fetch_add(1, Ordering::Relaxed);
            // SAFETY: two pages that nobody else has; the last word is written last.
            unsafe {
                base.cast::<u32>().write(round as u32);
                base.add(2 * PAGE - 4).cast::<u32>().write(!(round as u32));
            }
            Ok(())
        })
        .unwrap();
        let last = word(&segment, 2 * PAGE / 4 - 1).load(Ordering::Relaxed);
        assert_eq!(word(&segment, 0).load(Ordering::Relaxed), round as u32);
        assert_eq!(last, !(round as u32), "seen before it was complete");
        word(&shared, CREATED + round).fetch_add(u32::from(created), Ordering::AcqRel);
        meet();
        if created {
            Segment::unlink(&name).unwrap();
        }
    }
}

// ---- full, died, swept ----------------------------------------------------------------------

#[test]
fn more_than_there_is_leaves_nothing_behind() {
    let name = Name::new("huge");
    // SAFETY: all zeros is a valid statvfs.
    let mut room: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends with a NUL and `room` is writable.
    let rc = unsafe { libc::statvfs(c"/dev/shm".as_ptr(), &raw mut room) };
    assert_eq!(rc, 0);
    if room.f_blocks == 0 {
        println!("skipped: /dev/shm has no limit");
        return;
    }
    let len = (room.f_blocks * room.f_frsize) as usize + PAGE;
    for len in [len, usize::MAX, i64::MAX as usize] {
        let answer = Segment::create(&name.0, len, 0o600, |_| panic!("must not be initialised"));
        assert!(
            matches!(answer, Err(SegmentError::NoSpace)),
            "{len}: {answer:?}"
        );
        let words = answer.unwrap_err().to_string();
        assert!(words.contains("/dev/shm"), "{words}");
    }
    assert!(!name.file().exists());
}

#[test]
fn a_full_place_is_an_error_at_creation() {
    in_private_place("full");
}

fn case_full() {
    let entries = || std::fs::read_dir("/dev/shm").unwrap().count();
    assert_eq!(entries(), 0, "the place is private");
    let half = Segment::create("/half", 512 << 10, 0o600, nothing).unwrap();
    let answer = Segment::create("/more", 768 << 10, 0o600, |_| {
        panic!("must not be initialised")
    });
    assert!(matches!(answer, Err(SegmentError::NoSpace)), "{answer:?}");
    assert_eq!(entries(), 1, "only /half");
    drop(half);
    Segment::unlink("/half").unwrap();
    let more = Segment::create("/more", 768 << 10, 0o600, nothing).unwrap();
    // Its space is real: filling the place and writing every page raises no signal.
    let _ = std::fs::write("/dev/shm/rest", vec![1; 1 << 20]);
    for page in 0..more.len() / PAGE {
        word(&more, page * PAGE / 4).store(1, Ordering::Relaxed);
    }
}

#[test]
fn leftovers_of_dead_creators_are_counted_and_removed() {
    in_private_place("sweep");
}

fn case_sweep() {
    assert_eq!(Segment::sweep_leftovers(), 0);
    let mut peers = Vec::new();
    for round in 0..3 {
        let mut peer = Peer::start("pause-in-init", &format!("/never-{round}"));
        peer.expect("in init");
        peers.push(peer);
    }
    assert_eq!(
        Segment::sweep_leftovers(),
        0,
        "living creators are left alone"
    );
    for peer in &mut peers {
        assert_eq!(drafts_of(peer.child.id()).len(), 1);
        peer.kill();
        assert_eq!(drafts_of(peer.child.id()).len(), 1);
    }
    // Something that only looks like a leftover is no reason to stop.
    std::fs::create_dir("/dev/shm/.turtle-new-1-directory").unwrap();
    assert_eq!(Segment::sweep_leftovers(), 3);
    assert_eq!(Segment::sweep_leftovers(), 0);
    assert_eq!(Segment::list(|_| true), []);
}

/// Runs a case where `/dev/shm` is an empty tmpfs of 1 MiB; skips where the system does not allow
/// that.
fn in_private_place(case: &str) {
    // SAFETY: these take nothing and cannot fail.
    let (user, group) = unsafe { (libc::geteuid(), libc::getegid()) };
    let maps = [
        (c"/proc/self/setgroups", "deny".to_owned()),
        (c"/proc/self/uid_map", format!("{user} {user} 1")),
        (c"/proc/self/gid_map", format!("{group} {group} 1")),
    ];
    let ok = |rc: libc::c_long| {
        if rc < 0 {
            Err(io::Error::last_os_error())
        } else {
            Ok(())
        }
    };
    let prepare = move || {
        // SAFETY: system calls on constant or finished strings only, as it must be after a fork.
        unsafe {
            if user == 0 {
                ok(libc::unshare(libc::CLONE_NEWNS).into())?;
            } else {
                ok(libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS).into())?;
                for (path, text) in &maps {
                    let fd = libc::open(path.as_ptr(), libc::O_WRONLY);
                    ok(fd.into())?;
                    ok(libc::write(fd, text.as_ptr().cast(), text.len()) as libc::c_long)?;
                    libc::close(fd);
                }
            }
            let none = std::ptr::null();
            let private = libc::MS_REC | libc::MS_PRIVATE;
            ok(libc::mount(none, c"/".as_ptr(), none, private, none.cast()).into())?;
            let (place, kind, size) =
                (c"/dev/shm".as_ptr(), c"tmpfs".as_ptr(), c"size=1m".as_ptr());
            ok(libc::mount(kind, place, kind, 0, size.cast()).into())
        }
    };
    let mut command = Peer::command(case, "");
    // SAFETY: `prepare` allocates nothing and takes no locks.
    unsafe { command.pre_exec(prepare) };
    match Peer::spawn(&mut command) {
        Ok(peer) => peer.finish(),
        Err(why) => println!("skipped: no private /dev/shm for this test: {why}"),
    }
}

#[test]
fn a_creator_that_dies_leaves_no_half_made_name() {
    let name = Name::new("dies");
    let mut peer = Peer::start("die-in-init", &name.0);
    peer.expect("one draft");
    assert_eq!(peer.child.wait().unwrap().signal(), Some(libc::SIGKILL));
    assert!(matches!(
        Segment::open(&name.0),
        Err(SegmentError::NotFound)
    ));
    // Another test's creation may have swept already; after ours nothing may be left.
    create(&name);
    assert_eq!(drafts_of(peer.child.id()), [] as [PathBuf; 0]);
}

fn case_die_in_init(name: &str) {
    let _ = Segment::create(name, PAGE, 0o600, |base| {
        // SAFETY: PAGE writable bytes that nobody else has.
        unsafe { base.write_bytes(0xff, PAGE / 2) };
        assert_eq!(drafts_of(std::process::id()).len(), 1);
        say("one draft");
        // SAFETY: the signal goes to this process.
        unsafe { libc::kill(libc::getpid(), libc::SIGKILL) };
        unreachable!("killed");
    });
}

#[test]
fn a_living_creator_is_not_swept() {
    let name = Name::new("pause");
    let mut peer = Peer::start("pause-in-init", &name.0);
    peer.expect("in init");
    Segment::sweep_leftovers();
    assert_eq!(drafts_of(peer.child.id()).len(), 1);
    assert!(matches!(
        Segment::open(&name.0),
        Err(SegmentError::NotFound)
    ));
    peer.go_on();
    peer.expect("created");
    assert_eq!(drafts_of(peer.child.id()).len(), 0);
    Segment::open(&name.0).unwrap();
    peer.finish();
}

fn case_pause_in_init(name: &str) {
    let pause = |_| {
        say("in init");
        listen();
        Ok(())
    };
    let _segment = Segment::create(name, PAGE, 0o600, pause).unwrap();
    say("created");
    listen();
}

// ---- who is alive ---------------------------------------------------------------------------

#[test]
fn a_role_has_one_owner_at_a_time() {
    let name = Name::new("role");
    let one = create(&name);
    let two = Segment::open(&name.0).unwrap();
    assert!(!one.role_is_owned(1).unwrap());
    let lock = one.try_own(1).unwrap().unwrap();
    assert_eq!((lock.role(), lock.is_ours()), (1, true));
    for segment in [&one, &two] {
        assert!(segment.try_own(1).unwrap().is_none());
        assert!(segment.role_is_owned(1).unwrap());
        assert!(!segment.role_is_owned(2).unwrap());
    }
    let other = two.try_own(i64::MAX as u64 - 1).unwrap().unwrap();
    // A lock may outlive the mapping it came from.
    drop(one);
    assert!(two.role_is_owned(1).unwrap());
    drop(lock);
    assert!(!two.role_is_owned(1).unwrap());
    assert!(two.try_own(1).unwrap().is_some());
    drop(other);
    for role in [0, i64::MAX as u64, u64::MAX] {
        assert!(
            matches!(two.try_own(role), Err(SegmentError::Unsupported(_))),
            "{role}"
        );
    }
    assert!(two.role_is_owned(u64::MAX).is_err());
}

#[test]
fn a_killed_owner_owns_nothing() {
    let name = Name::new("killed");
    let segment = create(&name);
    for _ in 0..5 {
        let mut peer = Peer::start("own", &name.0);
        peer.expect("owner");
        assert!(segment.role_is_owned(7).unwrap());
        assert!(segment.try_own(7).unwrap().is_none());
        assert!(segment.in_use_elsewhere().unwrap());
        peer.kill();
        assert!(!segment.in_use_elsewhere().unwrap());
        assert!(!segment.role_is_owned(7).unwrap());
        assert!(segment.try_own(7).unwrap().is_some());
    }
}

fn case_own(name: &str) {
    let segment = Segment::open(name).unwrap();
    let _lock = segment.try_own(7).unwrap().unwrap();
    say("owner");
    listen();
}

#[test]
fn presence_tells_used_from_stale() {
    let name = Name::new("presence");
    let mark = std::process::id().to_ne_bytes();
    let is_ours = |first: &[u8]| first.starts_with(&mark);
    let listed = || Segment::list(is_ours);
    let segment = Segment::create(&name.0, PAGE, 0o640, |base| {
        // SAFETY: PAGE writable bytes that nobody else has.
        unsafe { base.copy_from_nonoverlapping(mark.as_ptr(), 4) };
        assert_eq!(listed(), [], "a draft is not listed");
        Ok(())
    })
    .unwrap();
    assert!(!segment.in_use_elsewhere().unwrap());
    let twin = Segment::open(&name.0).unwrap();
    assert!(segment.in_use_elsewhere().unwrap());
    drop(twin);
    assert!(!segment.in_use_elsewhere().unwrap());
    assert!(!Segment::unlink_stale(&name.0).unwrap());
    let [info] = &listed()[..] else {
        panic!("{:?}", listed())
    };
    assert_eq!(
        (info.name.as_str(), info.bytes, info.in_use, info.mode),
        (name.0.as_str(), PAGE as u64, true, 0o640)
    );

    let peer = Peer::start("attach", &name.0);
    let mut peer = peer;
    peer.expect("attached");
    assert!(segment.in_use_elsewhere().unwrap());
    drop(segment);
    assert!(listed()[0].in_use);
    assert!(!Segment::unlink_stale(&name.0).unwrap());
    peer.kill();
    assert!(!listed()[0].in_use);
    assert!(Segment::unlink_stale(&name.0).unwrap());
    assert_eq!(listed(), []);
    assert!(matches!(
        Segment::unlink_stale(&name.0),
        Err(SegmentError::NotFound)
    ));
}

fn case_attach(name: &str) {
    let _segment = Segment::open(name).unwrap();
    say("attached");
    listen();
}

#[test]
fn opening_never_ends_in_a_removed_stale_segment() {
    let name = Name::new("stale-race");
    beside(
        || match Segment::unlink_stale(&name.0) {
            Ok(_) | Err(SegmentError::NotFound) => {}
            Err(error) => panic!("{error}"),
        },
        || {
            let mut created = 0;
            while created < 200 {
                let (segment, new) =
                    Segment::open_or_create(&name.0, PAGE, 0o600, nothing).unwrap();
                created += u32::from(new);
                // Attached: from here on nobody may remove it.
                let here = std::fs::metadata(name.file()).expect("attached, so the name stays");
                let there = format!("/proc/self/fd/{}", segment.as_fd().as_raw_fd());
                assert_eq!(here.ino(), std::fs::metadata(there).unwrap().ino());
            }
        },
    );
}

#[test]
fn sweepers_do_not_disturb_creators() {
    let name = Name::new("swept");
    beside(
        || _ = Segment::sweep_leftovers(),
        || {
            for _ in 0..500 {
                create(&name);
                Segment::unlink(&name.0).unwrap();
            }
        },
    );
}

/// Repeats `disturb` in another thread while `work` runs once.
fn beside(disturb: impl Fn() + Sync, work: impl FnOnce()) {
    struct SetOnDrop<'a>(&'a AtomicBool);
    impl Drop for SetOnDrop<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Also when `work` panics, or the scope would wait for ever.
        let _end = SetOnDrop(&done);
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                disturb();
            }
        });
        work();
    });
}

// ---- descriptors ----------------------------------------------------------------------------

#[test]
fn a_descriptor_maps_the_same_memory_and_keeps_its_length() {
    let one = Segment::memfd("test", PAGE, |base| {
        // SAFETY: PAGE writable bytes that nobody else has.
        unsafe { base.write(3) };
        Ok(())
    })
    .unwrap();
    assert_eq!(one.name(), None);
    let two = Segment::from_fd(one.as_fd().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!(word(&two, 0).load(Ordering::Relaxed), 3);
    let lock = two.try_own(1).unwrap().unwrap();
    assert!(one.try_own(1).unwrap().is_none());
    drop((two, lock));
    assert!(!one.in_use_elsewhere().unwrap());
    for len in [0, 2 * PAGE as i64] {
        // SAFETY: the descriptor is open; the call must fail.
        assert_eq!(unsafe { libc::ftruncate(one.as_fd().as_raw_fd(), len) }, -1);
    }
}

#[test]
fn a_descriptor_that_could_shrink_is_refused() {
    // SAFETY: the label ends with a NUL.
    let fd = unsafe {
        libc::memfd_create(
            c"loose".as_ptr(),
            libc::MFD_ALLOW_SEALING | libc::MFD_CLOEXEC,
        )
    };
    assert!(fd >= 0);
    // SAFETY: the kernel just gave us this descriptor.
    let loose = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: the descriptor is open.
    assert_eq!(unsafe { libc::ftruncate(fd, PAGE as i64) }, 0);
    let refused = |fd: &OwnedFd, what: &str| {
        let answer = Segment::from_fd(fd.try_clone().unwrap());
        assert!(
            matches!(answer, Err(SegmentError::Foreign(_))),
            "{what}: {answer:?}"
        );
    };
    refused(&loose, "no seal");
    // SAFETY: the descriptor is open; this adds a seal.
    let seal =
        |seal: libc::c_int| assert_eq!(unsafe { libc::fcntl(fd, libc::F_ADD_SEALS, seal) }, 0);
    seal(libc::F_SEAL_GROW);
    refused(&loose, "may shrink");
    seal(libc::F_SEAL_SHRINK);
    Segment::from_fd(loose).unwrap();

    let name = Name::new("plain");
    let segment = create(&name);
    refused(
        &segment.as_fd().try_clone_to_owned().unwrap(),
        "a named file",
    );
    let (pipe, _other_end) = io::pipe().unwrap();
    refused(&pipe.into(), "a pipe");
}

#[test]
fn a_child_that_inherits_a_descriptor_is_a_full_member() {
    let segment = Segment::memfd("test", PAGE, nothing).unwrap();
    let fd = segment.as_fd().as_raw_fd();
    let mut command = Peer::command("descriptor", &fd.to_string());
    // SAFETY: one system call between fork and exec, on a descriptor that stays open.
    unsafe {
        command.pre_exec(move || {
            if libc::fcntl(fd, libc::F_SETFD, 0) < 0 {
                Err(io::Error::last_os_error())
            } else {
                Ok(())
            }
        });
    }
    let mut peer = Peer::spawn(&mut command).unwrap();
    peer.expect("owner");
    assert_eq!(word(&segment, 1).load(Ordering::Relaxed), 11);
    assert!(segment.try_own(7).unwrap().is_none());
    assert!(segment.in_use_elsewhere().unwrap());
    peer.kill();
    assert!(segment.try_own(7).unwrap().is_some());
    assert!(!segment.in_use_elsewhere().unwrap());
}

fn case_descriptor(fd: &str) {
    let fd: RawFd = fd.parse().unwrap();
    // SAFETY: the parent left this descriptor open for us, and nobody else here knows of it.
    let segment = Segment::from_fd(unsafe { OwnedFd::from_raw_fd(fd) }).unwrap();
    word(&segment, 1).store(11, Ordering::Relaxed);
    let _lock = segment.try_own(7).unwrap().unwrap();
    // The parent passed the descriptor through one exec; it goes no further by itself.
    Peer::start("open-files", "").finish();
    say("owner");
    listen();
}

#[test]
fn a_program_that_is_executed_inherits_nothing() {
    let name = Name::new("exec");
    let segment = create(&name);
    let _lock = segment.try_own(1).unwrap().unwrap();
    Peer::start("open-files", "").finish();
}

fn case_open_files() {
    for entry in std::fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let Ok(target) = std::fs::read_link(entry.path()) else {
            continue;
        };
        assert!(
            !target.starts_with("/dev/shm"),
            "inherited {}",
            target.display()
        );
        assert!(
            !target.to_string_lossy().contains("memfd:"),
            "inherited {}",
            target.display()
        );
    }
}

// ---- forks ----------------------------------------------------------------------------------

/// `write(2)` of a marked line: the one way to speak that is safe in a forked child.
fn say_raw(line: &'static str) {
    // SAFETY: the bytes are readable for their length.
    unsafe { libc::write(1, line.as_ptr().cast(), line.len()) };
}

/// Ends a forked child whose test went wrong. (An alarm is not inherited.)
fn give_up_in_time() {
    // SAFETY: alarm takes a number.
    unsafe { libc::alarm(60) };
}

/// Waits for the end of standard input, then says so and ends this process. Safe in a forked child.
fn live_on() -> ! {
    let mut byte = 0_u8;
    // SAFETY: one writable byte; `_exit` runs nothing of ours.
    unsafe {
        while libc::read(0, (&raw mut byte).cast(), 1) > 0 {}
        say_raw("\n@alive\n");
        libc::_exit(0)
    }
}

#[test]
fn a_forked_child_keeps_the_memory_and_gives_up_the_locks() {
    let name = Name::new("fork");
    let segment = create(&name);
    let mut peer = Peer::start("fork", &name.0);
    peer.expect("child sees generation + 1, no locks of its own");
    assert!(segment.role_is_owned(1).unwrap() && segment.role_is_owned(2).unwrap());
    peer.go_on();
    peer.expect("dropped");
    assert!(
        !segment.role_is_owned(1).unwrap(),
        "dropped by the parent while the child lives"
    );
    assert!(segment.role_is_owned(2).unwrap());
    peer.kill();
    assert!(
        !segment.role_is_owned(2).unwrap(),
        "the parent died while the child lives"
    );
    assert!(segment.try_own(2).unwrap().is_some());
    assert!(
        !segment.in_use_elsewhere().unwrap(),
        "the child does not count until it says so"
    );
    // Now the child counts itself in.
    word(&segment, 1).store(1, Ordering::Release);
    peer.expect("child attends");
    assert!(segment.in_use_elsewhere().unwrap());
    assert_eq!(
        word(&segment, 2).load(Ordering::Acquire),
        22,
        "the mapping was inherited"
    );
    drop(peer.input.take());
    peer.expect("alive");
}

fn case_fork(name: &str) {
    let segment = Segment::open(name).unwrap();
    let first = segment.try_own(1).unwrap().unwrap();
    let second = segment.try_own(2).unwrap().unwrap();
    let generation = fork::fork_generation();
    // SAFETY: the child calls only what allocates nothing and takes no lock that another thread
    // may hold.
    if unsafe { libc::fork() } == 0 {
        give_up_in_time();
        let changed =
            fork::fork_generation() == generation + 1 && !first.is_ours() && !second.is_ours();
        // In the child these numbers stand for /dev/null: dropping them must not free the
        // parent's roles.
        drop((first, second));
        say_raw(if changed {
            "\n@child sees generation + 1, no locks of its own\n"
        } else {
            "\n@child sees no change\n"
        });
        while word(&segment, 1).load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        word(&segment, 2).store(22, Ordering::Release);
        if segment.attend().is_ok()
            && segment.attend().is_ok()
            && barrier::heavy(false) == barrier::register(false)
        {
            say_raw("\n@child attends\n");
        }
        live_on();
    }
    listen();
    drop(first);
    say("dropped");
    loop {
        std::thread::park();
    }
}

#[test]
fn a_dropped_role_is_free_at_once_even_if_a_child_holds_a_copy() {
    let name = Name::new("clone");
    let segment = create(&name);
    let mut peer = Peer::start("bare-clone", &name.0);
    peer.expect("dropped");
    assert!(!segment.role_is_owned(1).unwrap());
    assert!(!segment.in_use_elsewhere().unwrap());
    drop(peer.input.take());
    peer.expect("alive");
}

fn case_bare_clone(name: &str) {
    let segment = Segment::open(name).unwrap();
    let lock = segment.try_own(1).unwrap().unwrap();
    // A child that runs no fork handlers stands for one that is on its way from fork to exec.
    // SAFETY: like fork; the child makes plain system calls only.
    if unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) } == 0 {
        give_up_in_time();
        live_on();
    }
    drop((segment, lock));
    say("dropped");
    loop {
        std::thread::park();
    }
}

#[test]
fn no_fork_at_any_moment_keeps_a_dead_owners_role() {
    let name = Name::new("fork-often");
    let segment = create(&name);
    let mut peer = Peer::start("fork-often", &name.0);
    peer.expect("forked");
    peer.kill();
    for role in 1..=ROLES {
        assert!(!segment.role_is_owned(role).unwrap(), "role {role}");
    }
    assert!(!segment.in_use_elsewhere().unwrap());
    drop(peer.input.take());
    for _ in 0..FORKS {
        peer.expect("alive");
    }
}

const FORKS: usize = 40;
const ROLES: u64 = 3;

fn case_fork_often(name: &str) {
    let segment = Segment::open(name).unwrap();
    std::thread::scope(|scope| {
        for role in 1..=ROLES {
            let segment = &segment;
            scope.spawn(move || {
                loop {
                    let lock = segment
                        .try_own(role)
                        .unwrap()
                        .expect("nobody else wants it");
                    let _twin = Segment::open(name).unwrap();
                    drop(lock);
                }
            });
        }
        for _ in 0..FORKS {
            let ready = word(&segment, 0).load(Ordering::Acquire);
            // SAFETY: the child uses shared words and plain system calls only.
            if unsafe { libc::fork() } == 0 {
                give_up_in_time();
                word(&segment, 0).fetch_add(1, Ordering::AcqRel);
                live_on();
            }
            while word(&segment, 0).load(Ordering::Acquire) == ready {
                std::thread::yield_now();
            }
        }
        say("forked");
    });
}

// ---- words and barriers between processes ---------------------------------------------------

#[test]
fn a_sleeper_in_another_process_is_woken() {
    let name = Name::new("futex");
    let segment = create(&name);
    let mut peer = Peer::start("sleep-on-word", &name.0);
    peer.expect("ready");
    let word = word(&segment, 0);
    let start = Instant::now();
    let mut woken = 0;
    while woken == 0 {
        assert!(start.elapsed().as_secs() < 60, "the sleeper is never found");
        // SAFETY: the word lives as long as `segment`.
        woken = unsafe { futex::futex_wake(word, u32::MAX, true) };
        std::thread::yield_now();
    }
    assert_eq!(woken, 1);
    word.store(1, Ordering::Release);
    // SAFETY: as above.
    unsafe { futex::futex_wake(word, 1, true) };
    peer.expect("woken");
    peer.finish();
}

fn case_sleep_on_word(name: &str) {
    let segment = Segment::open(name).unwrap();
    let word = word(&segment, 0);
    say("ready");
    let mut woken = 0;
    while word.load(Ordering::Acquire) == 0 {
        // SAFETY: the word lives as long as `segment`.
        woken +=
            u32::from(unsafe { futex::futex_wait(word, 0, None, true) } == futex::FutexWait::Woken);
    }
    assert!(woken >= 1);
    say("woken");
}

#[test]
fn the_environment_can_forbid_the_barrier() {
    let mut command = Peer::command("no-membarrier", "");
    Peer::spawn(command.env("TURTLE_NO_MEMBARRIER", "1"))
        .unwrap()
        .finish();
}

fn case_no_membarrier() {
    for shared in [false, true] {
        assert!(!barrier::register(shared));
        assert!(!barrier::heavy(shared));
    }
}
