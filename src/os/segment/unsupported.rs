//! Shared memory on systems where this crate has none: the same names, and one answer.

// What is written on the Linux side is not repeated; these methods cannot be reached.
#![allow(missing_docs, clippy::len_without_is_empty)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

mod error;
pub use error::{SegmentError, SegmentInfo};

/// The one answer.
pub(super) fn unsupported() -> SegmentError {
    SegmentError::Unsupported("shared memory needs Linux; private rings work here".into())
}

/// Never exists here.
#[derive(Debug)]
pub enum Segment {}

/// Never exists here.
#[derive(Debug)]
pub enum RoleLock {}

impl Segment {
    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn create(
        _: &str,
        _: usize,
        _: u32,
        _: impl FnOnce(*mut u8) -> Result<(), SegmentError>,
    ) -> Result<Segment, SegmentError> {
        Err(unsupported())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn open(_: &str) -> Result<Segment, SegmentError> {
        Err(unsupported())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn open_or_create(
        _: &str,
        _: usize,
        _: u32,
        _: impl FnOnce(*mut u8) -> Result<(), SegmentError>,
    ) -> Result<(Segment, bool), SegmentError> {
        Err(unsupported())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn unlink(_: &str) -> Result<(), SegmentError> {
        Err(unsupported())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn unlink_stale(_: &str) -> Result<bool, SegmentError> {
        Err(unsupported())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn memfd(
        _: &str,
        _: usize,
        _: impl FnOnce(*mut u8) -> Result<(), SegmentError>,
    ) -> Result<Segment, SegmentError> {
        Err(unsupported())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always `Unsupported`.
    pub fn from_fd(_: OwnedFd) -> Result<Segment, SegmentError> {
        Err(unsupported())
    }

    /// Nothing to sweep.
    pub fn sweep_leftovers() -> usize {
        0
    }

    /// Nothing to list.
    pub fn list(_: impl Fn(&[u8]) -> bool) -> Vec<SegmentInfo> {
        Vec::new()
    }

    pub fn base(&self) -> NonNull<u8> {
        match *self {}
    }

    pub fn len(&self) -> usize {
        match *self {}
    }

    pub fn name(&self) -> Option<&str> {
        match *self {}
    }

    pub fn as_fd(&self) -> BorrowedFd<'_> {
        match *self {}
    }

    pub fn attend(&self) -> io::Result<()> {
        match *self {}
    }

    pub fn in_use_elsewhere(&self) -> io::Result<bool> {
        match *self {}
    }

    pub fn try_own(&self, _: u64) -> Result<Option<RoleLock>, SegmentError> {
        match *self {}
    }

    pub fn role_is_owned(&self, _: u64) -> io::Result<bool> {
        match *self {}
    }
}

impl RoleLock {
    pub fn role(&self) -> u64 {
        match *self {}
    }

    pub fn is_ours(&self) -> bool {
        match *self {}
    }
}
