//! What a fork changes: a number that tells parent and child apart, and descriptors the child
//! gives up.
//!
//! A lock that belongs to an *open file description* lives as long as any descriptor (or mapping)
//! refers to that description, and a forked child inherits all of them. Left alone, a child would
//! keep its parent's roles alive after the parent's death. So descriptors that carry such locks
//! are kept in a table; in the child, before `fork` returns, each of them is replaced by one of
//! `/dev/null` under the same number. The number stays taken, so a later close in the child
//! cannot hit a stranger's file.
//!
//! The table is guarded by a mutex that the forking thread holds across the fork, so no
//! descriptor can be half entered at that moment, and the child handler only walks finished
//! memory (`dup2` and `fcntl` are async-signal-safe, nothing is allocated). There is no limit on
//! the number of descriptors.
//!
//! Not covered: children made by a bare `clone` or `_Fork`, which run no handlers. `posix_spawn`
//! and `vfork` are harmless: what follows is an exec, and all descriptors here are close-on-exec.

// Two words in statics that a fork handler touches; no algorithm.
#![allow(clippy::disallowed_types)]

use std::cell::UnsafeCell;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, Once};

static GENERATION: AtomicU32 = AtomicU32::new(0);
static INSTALL: Once = Once::new();
static TABLE: Mutex<Table> = Mutex::new(Table {
    fds: Vec::new(),
    stand_in: None,
});
static HELD: Held = Held(UnsafeCell::new(None));

struct Table {
    /// Descriptors with locks on their open file descriptions.
    fds: Vec<RawFd>,
    /// What the child gets in their place. Opened with the first entry.
    stand_in: Option<File>,
}

/// The table's guard between the handlers that run before and after a fork.
struct Held(UnsafeCell<Option<MutexGuard<'static, Table>>>);

// SAFETY: only the thread that has locked TABLE touches the cell: the forking thread, in the three
// handlers that fork runs on it one after the other.
unsafe impl Sync for Held {}

/// Counts forks from now on: after this call each forked child has its own [`fork_generation`], and
/// gives up the locks of its parent. Idempotent; cheap after the first call.
pub fn fork_guard() {
    INSTALL.call_once(|| {
        // SAFETY: the three handlers are plain functions that live as long as the program image.
        let rc = unsafe {
            libc::pthread_atfork(Some(before), Some(after_in_parent), Some(after_in_child))
        };
        assert_eq!(
            rc,
            0,
            "pthread_atfork: {}",
            io::Error::from_raw_os_error(rc)
        );
    });
}

/// How many forks this process is away from the first one that called [`fork_guard`].
///
/// A value kept next to a handle tells whether the handle was made in this very process.
#[inline(always)]
#[must_use]
pub fn fork_generation() -> u32 {
    // ORDER: relaxed: written only while the process has one thread, before fork returns in it.
    GENERATION.load(Ordering::Relaxed)
}

extern "C" fn before() {
    let guard = lock_table();
    // SAFETY: this thread holds TABLE.
    unsafe { *HELD.0.get() = Some(guard) };
}

extern "C" fn after_in_parent() {
    // SAFETY: this thread holds TABLE since `before`.
    drop(unsafe { (*HELD.0.get()).take() });
}

extern "C" fn after_in_child() {
    // ORDER: relaxed: the child has only this thread.
    GENERATION.fetch_add(1, Ordering::Relaxed);
    // SAFETY: this thread is the copy of the one that holds TABLE since `before`.
    let guard = unsafe { (*HELD.0.get()).take() };
    if let Some(table) = guard.as_deref()
        && let Some(stand_in) = &table.stand_in
    {
        for &fd in &table.fds {
            // SAFETY: both numbers are open descriptors of this crate; neither call touches memory.
            unsafe {
                libc::dup2(stand_in.as_raw_fd(), fd);
                libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC);
            }
        }
    }
}

/// In a forked child: runs `renew` once, for something that was made in generation `made`, and
/// notes there that it belongs to this process now. The table's mutex keeps other threads out,
/// because no fork can leave that one locked in a child.
#[cfg(target_os = "linux")]
pub(super) fn renew_once(
    made: &AtomicU32,
    renew: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    let _table = lock_table();
    // ORDER: relaxed: both under the mutex.
    if made.load(Ordering::Relaxed) != fork_generation() {
        renew()?;
        made.store(fork_generation(), Ordering::Relaxed);
    }
    Ok(())
}

fn lock_table() -> MutexGuard<'static, Table> {
    // Nothing panics half-way through a change of the table, so a poisoned one is whole.
    TABLE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A descriptor with an open file description of its own, for locks that must end with this
/// process.
#[derive(Debug)]
pub(super) struct LockFd {
    fd: OwnedFd,
    /// The generation whose locks it carries; older than the process's: a stand-in.
    generation: AtomicU32,
}

impl LockFd {
    /// Opens the file behind `file` once more, entered in the table before anyone can fork.
    pub(super) fn reopen(file: BorrowedFd<'_>) -> io::Result<LockFd> {
        fork_guard();
        let mut table = lock_table();
        if table.stand_in.is_none() {
            table.stand_in = Some(File::open("/dev/null")?);
        }
        table.fds.reserve(1);
        let fd = open_again(file)?;
        table.fds.push(fd.as_raw_fd());
        Ok(LockFd {
            fd,
            generation: AtomicU32::new(fork_generation()),
        })
    }

    /// Whether the locks taken through this descriptor belong to this process.
    pub(super) fn is_ours(&self) -> bool {
        // ORDER: relaxed: changed under the table's mutex; a stale answer is an old generation,
        // and then `renew` looks again under the mutex.
        self.generation.load(Ordering::Relaxed) == fork_generation()
    }

    /// In a forked child: gives the number a fresh description of `file` and lets `lock` lock it.
    /// Otherwise does nothing.
    pub(super) fn renew(
        &self,
        file: BorrowedFd<'_>,
        lock: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        if self.is_ours() {
            return Ok(());
        }
        let _table = lock_table();
        if self.is_ours() {
            return Ok(());
        }
        let fresh = open_again(file)?;
        lock(fresh.as_fd())?;
        // SAFETY: both are open; the number was a stand-in that only this object uses.
        let rc = unsafe { libc::dup2(fresh.as_raw_fd(), self.fd.as_raw_fd()) };
        if rc < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is open; this sets a flag.
        unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
        self.generation.store(fork_generation(), Ordering::Relaxed);
        Ok(())
    }
}

impl AsFd for LockFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Drop for LockFd {
    fn drop(&mut self) {
        let mut table = lock_table();
        if let Some(at) = table.fds.iter().position(|&fd| fd == self.fd.as_raw_fd()) {
            table.fds.swap_remove(at);
        }
        // The descriptor itself closes after this. A fork in between copies it unlisted, so the
        // owners of locks give them back explicitly before they drop it.
    }
}

/// A second open file description of the same file. Allocates nothing, so it works in a forked
/// child.
fn open_again(file: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut path = [0_u8; 32];
    // The longest number leaves a NUL at the end.
    write!(&mut path[..31], "/proc/self/fd/{}", file.as_raw_fd())?;
    // SAFETY: the path ends with a NUL and lives through the call.
    let fd = unsafe { libc::open(path.as_ptr().cast(), libc::O_RDWR | libc::O_CLOEXEC) };
    if fd < 0 {
        let error = io::Error::last_os_error();
        return Err(match error.raw_os_error() {
            Some(libc::ENOENT) => {
                io::Error::new(io::ErrorKind::Unsupported, "/proc is not mounted")
            }
            _ => error,
        });
    }
    // SAFETY: the kernel just gave us this descriptor.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
