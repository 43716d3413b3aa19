//! Locks of open file descriptions: presence and roles.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::Instant;

use super::super::fork::LockFd;

/// The byte whose read lock says "attached".
pub(super) const PRESENCE: u64 = 0;

/// Ownership of one role of a [`Segment`](super::Segment); ends on drop and with the process. It may outlive the
/// `Segment`.
#[derive(Debug)]
pub struct RoleLock {
    fd: LockFd,
    role: u64,
}

impl RoleLock {
    /// Locks the role's byte through a description of its own; `None` when another one has it.
    pub(super) fn take(file: BorrowedFd<'_>, role: u64) -> io::Result<Option<RoleLock>> {
        let fd = LockFd::reopen(file)?;
        Ok(set_lock(fd.as_fd(), libc::F_WRLCK, role)?.then_some(RoleLock { fd, role }))
    }

    /// Which role.
    #[must_use]
    pub fn role(&self) -> u64 {
        self.role
    }

    /// Whether this process owns the role: false in a forked child, where the parent still does.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.fd.is_ours()
    }
}

impl Drop for RoleLock {
    fn drop(&mut self) {
        unlock(&self.fd, self.role);
    }
}

/// A presence lock on `file`; `None` when somebody keeps it locked for a second.
pub(super) fn present(file: &File) -> io::Result<Option<LockFd>> {
    let lock = LockFd::reopen(file.as_fd())?;
    let start = Instant::now();
    // Only the removal of an unused segment excludes us, and that is two system calls long.
    while !set_lock(lock.as_fd(), libc::F_RDLCK, PRESENCE)? {
        if start.elapsed().as_secs() >= 1 {
            return Ok(None);
        }
        std::thread::yield_now();
    }
    Ok(Some(lock))
}

fn lock_on(kind: libc::c_int, byte: u64) -> io::Result<libc::flock> {
    let Ok(l_start) = libc::off_t::try_from(byte) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    // SAFETY: all zeros is a valid flock; a zero l_pid is what the kernel asks for.
    let zero: libc::flock = unsafe { std::mem::zeroed() };
    Ok(libc::flock {
        l_type: kind as _,
        l_whence: libc::SEEK_SET as _,
        l_start,
        l_len: 1,
        ..zero
    })
}

/// Sets the lock `kind` on one byte for the description behind `fd`; `false` when another one is
/// in the way.
pub(super) fn set_lock(fd: BorrowedFd<'_>, kind: libc::c_int, byte: u64) -> io::Result<bool> {
    let lock = lock_on(kind, byte)?;
    // SAFETY: the descriptor is open and `lock` is a live flock.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Whether any description but that of `fd` holds a lock on the byte.
pub(super) fn is_locked(fd: BorrowedFd<'_>, byte: u64) -> io::Result<bool> {
    let mut lock = lock_on(libc::F_WRLCK, byte)?;
    // SAFETY: the descriptor is open and `lock` is a live, writable flock.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

/// Gives a lock back at once: closing alone would wait for children that are between fork and exec.
pub(super) fn unlock(lock: &LockFd, byte: u64) {
    if lock.is_ours() {
        let _ = set_lock(lock.as_fd(), libc::F_UNLCK, byte);
    }
}
