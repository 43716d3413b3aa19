//! How a segment is made: complete under a temporary name, then renamed; and how leftovers go.

// One counter for names; no algorithm.
#![allow(clippy::disallowed_types)]

use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use super::super::fork::LockFd;
use super::error::TEMPORARY;
use super::locks::{PRESENCE, set_lock};
use super::{PLACE, Segment, SegmentError, c_path, open_file, shm_file, sweep_bells};

/// A complete segment that still has its temporary name.
pub(super) struct Draft {
    segment: Segment,
    file: Temporary,
}

/// A file under a temporary name, removed on every way out until it is kept.
struct Temporary {
    path: PathBuf,
    kept: bool,
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.kept {
            // A failure leaves a file that the next sweep finds.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl Draft {
    pub(super) fn new(
        len: usize,
        mode: u32,
        init: impl FnOnce(*mut u8) -> Result<(), SegmentError>,
    ) -> Result<Draft, SegmentError> {
        if mode & !0o777 != 0 || mode & 0o600 != 0o600 {
            let why =
                format!("mode {mode:#o}: only permission bits, and the owner reads and writes");
            return Err(SegmentError::Unsupported(why));
        }
        Segment::sweep_leftovers();
        sweep_bells();
        let (temporary, file, presence) = temporary_file()?;
        allocate(&file, len)?;
        let segment = Segment::map(file, presence, None)?;
        init(segment.base.as_ptr())?;
        segment.file.set_permissions(Permissions::from_mode(mode))?;
        Ok(Draft {
            segment,
            file: temporary,
        })
    }

    /// Gives it its name. When that fails, most of all because the name is taken, the draft comes
    /// back.
    pub(super) fn publish(mut self, name: &str) -> Result<Segment, (Draft, SegmentError)> {
        match shm_file(name).and_then(|path| Ok(rename_to_new(&self.file.path, &path)?)) {
            Ok(()) => {
                self.file.kept = true;
                self.segment.name = Some(name.to_owned());
                Ok(self.segment)
            }
            Err(error) => Err((self, error)),
        }
    }
}

/// An empty file under a temporary name, with the presence lock that keeps sweepers away.
fn temporary_file() -> Result<(Temporary, File, LockFd), SegmentError> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    loop {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |t| t.subsec_nanos());
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = Path::new(PLACE).join(format!(
            "{TEMPORARY}{}-{count}-{now:08x}",
            std::process::id()
        ));
        let file = match File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
        {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(SegmentError::Unsupported(format!(
                    "shared memory without {PLACE}"
                )));
            }
            answer => answer?,
        };
        let temporary = Temporary { path, kept: false };
        // A strict umask may have taken our own access away, and the file is opened once more.
        file.set_permissions(Permissions::from_mode(0o600))?;
        let presence = LockFd::reopen(file.as_fd())?;
        // Before the lock, a sweeper may have taken the file for a leftover. Then it is gone: try
        // again.
        if set_lock(presence.as_fd(), libc::F_RDLCK, PRESENCE)? && file.metadata()?.nlink() == 1 {
            return Ok((temporary, file, presence));
        }
    }
}

/// Gives `file` its length, with memory behind every page.
pub(super) fn allocate(file: &File, len: usize) -> Result<(), SegmentError> {
    /// Bytes in one call: a signal interrupts and undoes a call, so each must be short.
    const STEP: i64 = 32 << 20;
    let len = match i64::try_from(len) {
        Ok(0) => return Err(SegmentError::Unsupported("a segment of 0 bytes".into())),
        Ok(len) => len,
        Err(_) => return Err(SegmentError::NoSpace),
    };
    // Refuse the hopeless at once, before it takes everybody's memory page by page.
    // SAFETY: all zeros is a valid statvfs.
    let mut room: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `room` is writable.
    let known =
        unsafe { libc::fstatvfs(file.as_raw_fd(), &raw mut room) } == 0 && room.f_blocks > 0;
    if known && i128::from(len) > i128::from(room.f_bavail) * i128::from(room.f_frsize) {
        return Err(SegmentError::NoSpace);
    }
    let mut done = 0;
    while done < len {
        let step = STEP.min(len - done);
        // SAFETY: the descriptor is open; the call takes numbers only.
        match unsafe { libc::posix_fallocate(file.as_raw_fd(), done, step) } {
            0 => done += step,
            libc::EINTR => {}
            error => return Err(io::Error::from_raw_os_error(error).into()),
        }
    }
    Ok(())
}

/// Removes a temporary file if its creator is dead; says whether it did.
pub(super) fn sweep(path: &Path) -> io::Result<bool> {
    let file = open_file(path)?;
    Ok(set_lock(file.as_fd(), libc::F_WRLCK, PRESENCE)? && remove_if_same(path, &file)?)
}

/// Removes `path` if it still names `file`, which the caller has locked for removal.
pub(in crate::os) fn remove_if_same(path: &Path, file: &File) -> io::Result<bool> {
    let (named, held) = (path.symlink_metadata()?, file.metadata()?);
    let same = (named.dev(), named.ino()) == (held.dev(), held.ino());
    if same {
        std::fs::remove_file(path)?;
    }
    Ok(same)
}

/// Renames in one step, and only if nothing has the new name.
fn rename_to_new(old: &Path, new: &Path) -> io::Result<()> {
    let (old, new) = (c_path(old), c_path(new));
    let here = libc::AT_FDCWD;
    // SAFETY: both paths end with a NUL and live through the call.
    let rc = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            here,
            old.as_ptr(),
            here,
            new.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
