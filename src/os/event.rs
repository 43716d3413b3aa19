//! Events that `poll`, `epoll` and event loops can wait for.
//!
//! [`EventFd`] works inside one process; [`Fifo`] lies beside a segment and works between the
//! processes that have that segment. Both are levels, not counts: any number of signals before a
//! drain is one event. [`Event`] is what a ring hands out: one of them, and where a signal may
//! fail to come a timer beside it, so that nobody who polls needs a thread.

// One number that tells in which process a descriptor was made; no algorithm.
#![allow(clippy::disallowed_types)]

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::FromRawFd;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
#[cfg(target_os = "linux")]
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

#[cfg(target_os = "linux")]
use super::fork::{fork_generation, fork_guard};
use super::segment::{Segment, SegmentError};

/// A descriptor that becomes readable when somebody signals it.
#[derive(Debug)]
pub struct EventFd {
    read: OwnedFd,
    /// The other end where the system has no eventfd and this is a pipe.
    write: Option<OwnedFd>,
}

impl EventFd {
    /// Makes one, not signalled; close-on-exec and non-blocking.
    ///
    /// # Errors
    /// The process or the system is out of descriptors or memory.
    pub fn new() -> io::Result<EventFd> {
        #[cfg(target_os = "linux")]
        {
            // SAFETY: eventfd takes numbers only.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            // SAFETY: the kernel just gave us this descriptor.
            let read = unsafe { OwnedFd::from_raw_fd(fd) };
            Ok(EventFd { read, write: None })
        }
        #[cfg(not(target_os = "linux"))]
        {
            let (read, write) = io::pipe()?;
            let (read, write) = (OwnedFd::from(read), OwnedFd::from(write));
            for fd in [&read, &write] {
                // SAFETY: the descriptor is open; this sets a flag.
                if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) } < 0 {
                    return Err(io::Error::last_os_error());
                }
            }
            Ok(EventFd {
                read,
                write: Some(write),
            })
        }
    }

    /// The descriptor to wait on for reading. It stays owned by `self`.
    #[must_use]
    pub fn raw_fd(&self) -> RawFd {
        self.read.as_raw_fd()
    }

    /// Makes the descriptor readable. One system call; never blocks. Any thread.
    ///
    /// # Errors
    /// The descriptor was closed behind our back.
    pub fn signal(&self) -> io::Result<()> {
        put(
            self.write.as_ref().unwrap_or(&self.read).as_raw_fd(),
            &1_u64.to_ne_bytes(),
        )
    }

    /// Makes the descriptor unreadable again and says whether it had been signalled. Never blocks.
    ///
    /// # Errors
    /// The descriptor was closed behind our back.
    pub fn drain(&self) -> io::Result<bool> {
        take_all(self.read.as_raw_fd())
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

/// An event between the processes that have a segment: a FIFO beside it.
///
/// All who opened it may wait and signal. One drain clears it for everybody, so a waiter drains
/// first and then looks at the ring, and whoever finds something there signals again.
///
/// Its name is made of the number of the segment's file, which this process asks the kernel for:
/// nothing in the segment leads to a path. So it fits whatever the segment is called, and a ring
/// that gets the name of a removed one has a FIFO of its own.
#[derive(Debug)]
pub struct Fifo {
    fd: OwnedFd,
}

#[cfg(target_os = "linux")]
impl Fifo {
    /// Opens the FIFO beside `segment`, or makes it with the segment's permission bits and group.
    ///
    /// If the segment has no name any more, neither has the FIFO: it reaches this process and the
    /// children that it forks.
    ///
    /// # Errors
    /// `Foreign` when something else, or a stranger's FIFO, has its name; `Permission`; the system
    /// is out of descriptors.
    pub fn beside(segment: &Segment) -> Result<Fifo, SegmentError> {
        // Where the segment's name is gone, everybody removes the FIFO as soon as it is open: two
        // at once may take it from under each other. That ends when one has come through.
        const ROUNDS: usize = 64;
        let mut made = Self::make_or_open(segment);
        for _ in 1..ROUNDS {
            let Err(SegmentError::NotFound) = made else {
                break;
            };
            made = Self::make_or_open(segment);
        }
        made
    }

    fn make_or_open(segment: &Segment) -> Result<Fifo, SegmentError> {
        use super::segment::{bell_of, c_path, remove_if_same};
        use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};

        let owner = segment.facts()?;
        let path = bell_of(&owner);
        // SAFETY: the path ends with a NUL and lives through the call.
        let made = unsafe { libc::mkfifo(c_path(&path).as_ptr(), 0o600) } == 0;
        if made {
            // Exactly these, whatever the umask. The place is sticky, so the name stays ours. Root
            // can give it to the segment's owner, others to a group that they are in; whom that
            // leaves out is told by a timer.
            if lchown(&path, Some(owner.uid()), Some(owner.gid())).is_err() {
                let _ = lchown(&path, None, Some(owner.gid()));
            }
            let mode = std::fs::Permissions::from_mode(owner.mode() & 0o777);
            std::fs::set_permissions(&path, mode)?;
        } else {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EEXIST) {
                return Err(error.into());
            }
        }
        let (fifo, file) = Fifo::open(&path, &owner)?;
        // Whoever removes the segment's name removes ours after it. If that is over, we do it.
        if segment.facts()?.nlink() == 0 {
            let _ = remove_if_same(&path, &file);
        }
        Ok(fifo)
    }

    /// Opens the FIFO beside `segment`, if there is one.
    ///
    /// # Errors
    /// `NotFound`; otherwise as [`beside`](Self::beside).
    pub fn find(segment: &Segment) -> Result<Fifo, SegmentError> {
        let owner = segment.facts()?;
        Ok(Fifo::open(&super::segment::bell_of(&owner), &owner)?.0)
    }

    /// Also answers a second descriptor of it, to compare with the name.
    fn open(
        path: &std::path::Path,
        owner: &std::fs::Metadata,
    ) -> Result<(Fifo, std::fs::File), SegmentError> {
        use super::segment::open_file;
        use std::os::unix::fs::{FileTypeExt, MetadataExt};

        let foreign = |why: &str| {
            let path = path.display();
            SegmentError::Foreign(format!(
                "{path}, where the event descriptors of this ring meet, {why}"
            ))
        };
        // Read and write in one: opening never waits for a peer; and since this process reads too,
        // a write finds no broken pipe (no SIGPIPE) and a read no end of file when the others go.
        let file = open_file(path).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP | libc::EISDIR | libc::ENXIO) => foreign("is not a FIFO"),
            _ => error.into(),
        })?;
        let there = file.metadata()?;
        if !there.file_type().is_fifo() {
            return Err(foreign("is not a FIFO"));
        }
        // SAFETY: takes nothing and cannot fail.
        let user = unsafe { libc::geteuid() };
        let shared = owner.mode() & there.mode() & 0o020 != 0 && there.gid() == owner.gid();
        if ![user, 0, owner.uid()].contains(&there.uid()) && !shared {
            return Err(foreign(&format!("belongs to user {}", there.uid())));
        }
        let fd = OwnedFd::from(file.try_clone()?);
        Ok((Fifo { fd }, file))
    }
}

#[cfg(not(target_os = "linux"))]
impl Fifo {
    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn beside(_: &Segment) -> Result<Fifo, SegmentError> {
        Err(super::segment::unsupported())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn find(_: &Segment) -> Result<Fifo, SegmentError> {
        Err(super::segment::unsupported())
    }
}

impl Fifo {
    /// The descriptor to wait on for reading. It stays owned by `self`.
    #[must_use]
    pub fn raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Makes the FIFO readable in every process that opened it. Never blocks. Any thread.
    ///
    /// # Errors
    /// The descriptor was closed behind our back.
    pub fn signal(&self) -> io::Result<()> {
        put(self.fd.as_raw_fd(), &[1])
    }

    /// Makes it unreadable again and says whether it had been signalled. Never blocks.
    ///
    /// # Errors
    /// The descriptor was closed behind our back.
    pub fn drain(&self) -> io::Result<bool> {
        take_all(self.fd.as_raw_fd())
    }
}

impl AsFd for Fifo {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Writes `bytes`; a full pipe or counter is already signalled and counts as done.
fn put(fd: RawFd, bytes: &[u8]) -> io::Result<()> {
    loop {
        // SAFETY: `bytes` is readable for its length.
        if unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) } >= 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(()),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
}

/// Reads until nothing is left; says whether there was anything. Somebody who writes all the time
/// cannot keep us here: after as much as a pipe holds, what is left stays for the next time.
fn take_all(fd: RawFd) -> io::Result<bool> {
    /// A pipe holds 64 KiB unless its owner asked for more.
    const ROUNDS: usize = 64;
    let mut any = false;
    let mut bytes = [0_u8; 1024];
    for _ in 0..ROUNDS {
        // SAFETY: `bytes` is writable for its length.
        let got = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) };
        if got > 0 {
            any = true;
            if got.unsigned_abs() < bytes.len() {
                break; // a short read has emptied it
            }
            continue;
        }
        if got == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => break,
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
        }
    }
    Ok(any)
}

/// A timer beside another descriptor, and one descriptor that is readable when either is.
///
/// A forked child has its parent's, and gets its own from [`renew`](Self::renew): the kernel keeps
/// the timer with the open file description, which both share.
#[cfg(target_os = "linux")]
#[derive(Debug)]
struct Reminder {
    either: OwnedFd,
    timer: OwnedFd,
    generation: AtomicU32,
}

#[cfg(target_os = "linux")]
impl Reminder {
    fn new(other: BorrowedFd<'_>) -> io::Result<Reminder> {
        fork_guard();
        let generation = AtomicU32::new(fork_generation());
        let (either, timer) = (new_epoll()?, new_timer()?);
        for fd in [other, timer.as_fd()] {
            watch(either.as_fd(), fd)?;
        }
        Ok(Reminder {
            either,
            timer,
            generation,
        })
    }

    fn is_ours(&self) -> bool {
        // ORDER: relaxed: written before `fork` returns to more than one thread, or by `renew`
        // under the fork table's mutex; a stale answer is an older generation.
        self.generation.load(Ordering::Relaxed) == fork_generation()
    }

    /// In a forked child: the same numbers, and behind them a timer of its own.
    fn renew(&self, other: BorrowedFd<'_>) -> io::Result<()> {
        super::fork::renew_once(&self.generation, || {
            let (either, timer) = (new_epoll()?, new_timer()?);
            put_in_place(timer, self.timer.as_fd())?;
            for fd in [other, self.timer.as_fd()] {
                watch(either.as_fd(), fd)?;
            }
            put_in_place(either, self.either.as_fd())
        })
    }

    /// Makes the timer quiet, and readable once after this time.
    fn set(&self, after: Duration) {
        let time = libc::timespec {
            tv_sec: libc::time_t::try_from(after.as_secs()).unwrap_or(libc::time_t::MAX),
            tv_nsec: after.subsec_nanos().into(),
        };
        let zero = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let once = libc::itimerspec {
            it_interval: zero,
            it_value: time,
        };
        // It fails for bad arguments only. Setting it also forgets that it had run out.
        // SAFETY: `once` is a live itimerspec; the old one is not asked for.
        let rc = unsafe {
            libc::timerfd_settime(
                self.timer.as_raw_fd(),
                0,
                &raw const once,
                std::ptr::null_mut(),
            )
        };
        debug_assert_eq!(rc, 0, "{}", io::Error::last_os_error());
    }
}

#[cfg(target_os = "linux")]
fn owned(fd: libc::c_int) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(target_os = "linux")]
fn new_epoll() -> io::Result<OwnedFd> {
    // SAFETY: takes a number only.
    owned(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })
}

#[cfg(target_os = "linux")]
fn new_timer() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: takes numbers only.
    owned(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })
}

/// Makes `either` readable while `fd` is.
#[cfg(target_os = "linux")]
fn watch(either: BorrowedFd<'_>, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN.cast_unsigned(),
        u64: 0,
    };
    // SAFETY: both are open, `event` is live.
    let rc = unsafe {
        libc::epoll_ctl(
            either.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            fd.as_raw_fd(),
            &raw mut event,
        )
    };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Lets the number of `old` mean what `new` means.
#[cfg(target_os = "linux")]
fn put_in_place(new: OwnedFd, old: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: both are open; whoever has the number goes on having it.
    let rc = unsafe { libc::dup3(new.as_raw_fd(), old.as_raw_fd(), libc::O_CLOEXEC) };
    if rc < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// There is none here.
#[cfg(not(target_os = "linux"))]
#[derive(Debug)]
enum Reminder {}

#[cfg(not(target_os = "linux"))]
impl Reminder {
    fn new(_: BorrowedFd<'_>) -> io::Result<Reminder> {
        Err(io::ErrorKind::Unsupported.into())
    }
    fn is_ours(&self) -> bool {
        match *self {}
    }
    fn renew(&self, _: BorrowedFd<'_>) -> io::Result<()> {
        match *self {}
    }
    fn set(&self, _: Duration) {
        match *self {}
    }
}

#[derive(Debug)]
enum Bell {
    Private(EventFd),
    Shared(Fifo),
}

/// What a ring hands out to be polled.
#[derive(Debug)]
pub struct Event {
    bell: Bell,
    reminder: Option<Reminder>,
}

impl Event {
    /// For a ring in this process. `certain`: every signal comes, so no timer is needed.
    ///
    /// # Errors
    /// The process or the system is out of descriptors or memory.
    pub fn private(certain: bool) -> io::Result<Event> {
        let bell = EventFd::new()?;
        let reminder = match certain {
            true => None,
            false => match Reminder::new(bell.as_fd()) {
                Err(error) if error.kind() == io::ErrorKind::Unsupported => None,
                answer => Some(answer?),
            },
        };
        Ok(Event {
            bell: Bell::Private(bell),
            reminder,
        })
    }

    /// For the ring in `segment`. A peer may be killed before it signals: there is a timer.
    ///
    /// # Errors
    /// As [`Fifo::beside`], in words.
    pub fn shared(segment: &Segment) -> io::Result<Event> {
        let fifo = Fifo::beside(segment).map_err(|error| match error {
            SegmentError::Io(error) => error,
            other => io::Error::other(other.to_string()),
        })?;
        let reminder = Some(Reminder::new(fifo.as_fd())?);
        Ok(Event {
            bell: Bell::Shared(fifo),
            reminder,
        })
    }

    /// The descriptor to wait on for reading. It stays owned by `self`.
    #[must_use]
    pub fn raw_fd(&self) -> RawFd {
        match (&self.reminder, &self.bell) {
            #[cfg(target_os = "linux")]
            (Some(reminder), _) => reminder.either.as_raw_fd(),
            #[cfg(not(target_os = "linux"))]
            (Some(reminder), _) => match *reminder {},
            (None, Bell::Private(bell)) => bell.raw_fd(),
            (None, Bell::Shared(bell)) => bell.raw_fd(),
        }
    }

    /// Whether [`remind`](Self::remind) does anything.
    #[must_use]
    pub fn reminds(&self) -> bool {
        self.reminder.is_some()
    }

    /// Makes it readable. Never blocks. Any thread.
    pub fn ring(&self) {
        // A full pipe or counter is readable already, and nothing else can fail.
        let _ = match &self.bell {
            Bell::Private(bell) => bell.signal(),
            Bell::Shared(bell) => bell.signal(),
        };
    }

    /// Forgets the signals that have come, and says whether there were any. The timer may still
    /// be readable until the next [`remind`](Self::remind).
    pub fn drain(&self) -> bool {
        match &self.bell {
            Bell::Private(bell) => bell.drain(),
            Bell::Shared(bell) => bell.drain(),
        }
        .unwrap_or(true) // closed behind our back: assume the worst
    }

    /// Becomes readable after this time whatever happens, instead of what was said before.
    pub fn remind(&self, after: Duration) {
        if let Some(reminder) = &self.reminder {
            reminder.set(after);
        }
    }

    /// Whether it was made, or renewed, in this very process.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.reminder.as_ref().is_none_or(Reminder::is_ours)
    }

    /// In a forked child: makes it independent of the parent's, under the same number.
    ///
    /// # Errors
    /// The process or the system is out of descriptors or memory.
    pub fn renew(&self) -> io::Result<()> {
        match (&self.reminder, &self.bell) {
            (Some(reminder), Bell::Private(bell)) => reminder.renew(bell.as_fd()),
            (Some(reminder), Bell::Shared(bell)) => reminder.renew(bell.as_fd()),
            (None, _) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(fd: RawFd) -> bool {
        let mut poll = libc::pollfd {
            fd,
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd, no waiting.
        unsafe { libc::poll(&raw mut poll, 1, 0) == 1 && poll.revents & libc::POLLIN != 0 }
    }

    #[test]
    fn signals_before_a_drain_are_one_event() {
        let event = EventFd::new().unwrap();
        assert!(!readable(event.raw_fd()));
        assert!(!event.drain().unwrap());
        event.signal().unwrap();
        event.signal().unwrap();
        assert!(readable(event.raw_fd()));
        assert!(event.drain().unwrap());
        assert!(!readable(event.raw_fd()));
        assert!(!event.drain().unwrap());
    }

    #[cfg(target_os = "linux")]
    fn segment(label: &str) -> (Segment, String) {
        let name = format!("/turtle-test-event-{label}-{}", std::process::id());
        let segment = Segment::create(&name, 4096, 0o640, |_| Ok(())).unwrap();
        (segment, name)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_fifo_is_found_beside_its_segment_and_never_fills_up() {
        use crate::os::segment::bell_of;
        use std::os::unix::fs::PermissionsExt;
        let (segment, name) = segment("fifo");
        assert!(matches!(
            Fifo::find(&segment).unwrap_err(),
            SegmentError::NotFound
        ));
        let one = Fifo::beside(&segment).unwrap();
        let two = Fifo::beside(&Segment::open(&name).unwrap()).unwrap();
        let three = Fifo::find(&segment).unwrap();
        let path = bell_of(&segment.facts().unwrap());
        let mode = path.symlink_metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640, "as the segment's");
        assert!(!readable(two.raw_fd()));
        // More than a pipe holds: the surplus is dropped, not waited for.
        for _ in 0..100_000 {
            three.signal().unwrap();
        }
        assert!(readable(two.raw_fd()));
        assert!(two.drain().unwrap());
        assert!(!readable(one.raw_fd()));
        Segment::unlink(&name).unwrap();
        assert!(path.symlink_metadata().is_err(), "it goes with the name");
        // One that is made now has no name, and works.
        let four = Fifo::beside(&segment).unwrap();
        assert!(path.symlink_metadata().is_err());
        four.signal().unwrap();
        assert!(readable(four.raw_fd()) && !readable(one.raw_fd()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn who_is_root_locks_no_owner_out() {
        use crate::os::segment::bell_of;
        use std::os::unix::fs::{MetadataExt, chown};
        // SAFETY: takes nothing and cannot fail.
        if unsafe { libc::geteuid() } != 0 {
            println!("SKIP: needs root, to give a segment away");
            return;
        }
        const NOBODY: u32 = 65534;
        let (segment, name) = segment("owner");
        chown(format!("/dev/shm{name}"), Some(NOBODY), Some(NOBODY)).unwrap();
        let _fifo = Fifo::beside(&segment).unwrap();
        let facts = bell_of(&segment.facts().unwrap()).symlink_metadata();
        Segment::unlink(&name).unwrap();
        let facts = facts.unwrap();
        assert_eq!((facts.uid(), facts.gid()), (NOBODY, NOBODY));
        assert_eq!(facts.mode() & 0o777, 0o640);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_not_a_fifo_is_refused_in_words() {
        use crate::os::segment::bell_of;
        let (segment, name) = segment("foreign");
        let path = bell_of(&segment.facts().unwrap());
        let elsewhere = std::env::temp_dir().join(format!("turtle-test-{}", std::process::id()));
        let make: [&dyn Fn(); 3] = [
            &|| std::fs::write(&path, b"").unwrap(),
            &|| std::os::unix::fs::symlink(&elsewhere, &path).unwrap(),
            &|| drop(std::os::unix::net::UnixListener::bind(&path).unwrap()),
        ];
        for make in make {
            make();
            for answer in [Fifo::beside(&segment), Fifo::find(&segment)] {
                let error = answer.unwrap_err();
                assert!(matches!(error, SegmentError::Foreign(_)), "{error:?}");
                let text = error.to_string();
                assert!(text.contains(path.to_str().unwrap()), "{text}");
                assert!(text.contains("is not a FIFO"), "{text}");
            }
            std::fs::remove_file(&path).unwrap();
        }
        assert!(!elsewhere.exists(), "no link was followed");
        Segment::unlink(&name).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_reminder_comes_once_and_can_be_put_off() {
        let event = Event::private(false).unwrap();
        assert!(event.reminds() && event.is_ours());
        assert!(!readable(event.raw_fd()));
        event.remind(Duration::from_nanos(1));
        let mut poll = libc::pollfd {
            fd: event.raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: one live pollfd.
        assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 60_000) }, 1);
        assert!(!event.drain(), "no signal came");
        assert!(
            readable(event.raw_fd()),
            "it stays so until it is set again"
        );
        event.remind(Duration::from_secs(3600));
        assert!(!readable(event.raw_fd()));
        event.ring();
        assert!(readable(event.raw_fd()));
        assert!(event.drain());
        assert!(!readable(event.raw_fd()));
        let certain = Event::private(true).unwrap();
        certain.remind(Duration::from_nanos(1));
        assert!(!certain.reminds() && !readable(certain.raw_fd()));
    }
}
