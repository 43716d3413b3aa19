//! Events that `poll`, `epoll` and event loops can wait for.
//!
//! [`EventFd`] works inside one process (and in children that inherit it); [`Fifo`] has a name
//! and works between unrelated processes. Both are levels, not counts: any number of signals
//! before a drain is one event.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::FromRawFd;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

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

/// A named event between processes: a FIFO beside the segments, under the same rules for names.
///
/// All processes that opened the name may wait and signal. One drain clears it for everybody, so
/// a waiter drains first and then looks at the ring.
#[derive(Debug)]
pub struct Fifo {
    fd: OwnedFd,
}

#[cfg(target_os = "linux")]
impl Fifo {
    /// Opens the FIFO of this name, or makes it with permission bits `mode`.
    ///
    /// # Errors
    /// The name is bad or taken by something else, the user may not, or shared memory is full.
    pub fn open_or_create(name: &str, mode: u32) -> Result<Fifo, super::segment::SegmentError> {
        use super::segment::{SegmentError, c_path, open_file, shm_file};
        use std::os::unix::fs::{FileTypeExt, PermissionsExt};

        let path = shm_file(name)?;
        // SAFETY: the path ends with a NUL and lives through the call.
        if unsafe { libc::mkfifo(c_path(&path).as_ptr(), 0o600) } == 0 {
            // Exactly `mode`, whatever the umask. The name is ours: the place is sticky.
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode & 0o777))?;
        } else {
            let error = io::Error::last_os_error();
            if error.raw_os_error() != Some(libc::EEXIST) {
                return Err(error.into());
            }
        }
        // Read and write in one: opening never waits for a peer, and there is no end of file and
        // no SIGPIPE.
        let file = open_file(&path)?;
        if !file.metadata()?.file_type().is_fifo() {
            return Err(SegmentError::Foreign(format!("{name} is not a FIFO")));
        }
        Ok(Fifo { fd: file.into() })
    }

    /// Removes the name. Processes that have it open keep it.
    ///
    /// # Errors
    /// There is none of this name, or the user may not.
    pub fn unlink(name: &str) -> Result<(), super::segment::SegmentError> {
        super::segment::Segment::unlink(name)
    }
}

#[cfg(not(target_os = "linux"))]
impl Fifo {
    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn open_or_create(_name: &str, _mode: u32) -> Result<Fifo, super::segment::SegmentError> {
        Err(super::segment::unsupported())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn unlink(_name: &str) -> Result<(), super::segment::SegmentError> {
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

/// Reads until nothing is left; says whether there was anything.
fn take_all(fd: RawFd) -> io::Result<bool> {
    let mut any = false;
    let mut bytes = [0_u8; 256];
    loop {
        // SAFETY: `bytes` is writable for its length.
        let got = unsafe { libc::read(fd, bytes.as_mut_ptr().cast(), bytes.len()) };
        if got > 0 {
            any = true;
            // A short read has emptied it; without this a busy signaller could keep us here.
            if got.unsigned_abs() < bytes.len() {
                return Ok(true);
            }
            continue;
        }
        if got == 0 {
            return Ok(any);
        }
        let error = io::Error::last_os_error();
        match error.kind() {
            io::ErrorKind::WouldBlock => return Ok(any),
            io::ErrorKind::Interrupted => {}
            _ => return Err(error),
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
    #[test]
    fn a_fifo_is_signalled_through_its_name_and_never_fills_up() {
        let name = format!("/turtle-test-fifo-{}", std::process::id());
        let one = Fifo::open_or_create(&name, 0o600).unwrap();
        let two = Fifo::open_or_create(&name, 0o600).unwrap();
        assert!(!readable(two.raw_fd()));
        // More than a pipe holds: the surplus is dropped, not waited for.
        for _ in 0..100_000 {
            one.signal().unwrap();
        }
        assert!(readable(two.raw_fd()));
        assert!(two.drain().unwrap());
        assert!(!readable(one.raw_fd()));
        Fifo::unlink(&name).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_fifo_refuses_a_name_taken_by_a_segment() {
        use crate::os::segment::{Segment, SegmentError};
        let name = format!("/turtle-test-nofifo-{}", std::process::id());
        let _segment = Segment::create(&name, 4096, 0o600, |_| Ok(())).unwrap();
        let answer = Fifo::open_or_create(&name, 0o600);
        Segment::unlink(&name).unwrap();
        assert!(
            matches!(answer, Err(SegmentError::Foreign(_))),
            "{answer:?}"
        );
    }
}
