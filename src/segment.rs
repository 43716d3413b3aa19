//! The head of a shared segment: what it is, checked before anything is used.
//!
//! Layout version 1, all numbers little-endian, all offsets in bytes from the
//! start of the segment:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | magic `TURTLE\r\n` |
//! | 8 | 4 | layout version |
//! | 12 | 4 | strategy number |
//! | 16 | 8 | capacity, elements |
//! | 24 | 8 | element size, bytes |
//! | 32 | 8 | element alignment, bytes |
//! | 40 | 4 | flags: bit 0, slots hold a length first |
//! | 44 | 4 | participants of each side; 0 for engines that keep no record of them |
//! | 48 | 8 | length of the segment |
//! | 56 | 8 | FNV-1a of the 56 bytes before |
//! | 128 | 512 | benches (where waiters sleep) |
//! | 640 | … | the engine's words and slots |
//!
//! The head is written once, before the segment gets its name, and read once
//! into a local copy. What the copy says is checked against the real length
//! of the mapping, so a wrong or hostile head ends in an error, not in an
//! access outside. `tests/segment_golden.rs` keeps the bytes.

use std::ptr::NonNull;

use crate::error::BuildError;
use crate::strategy::Strategy;

/// First bytes of every segment. The line end shows a transfer that "repaired" it.
pub const MAGIC: [u8; 8] = *b"TURTLE\r\n";
/// Changed whenever bytes change their meaning.
pub const LAYOUT_VERSION: u32 = 1;
/// Slots hold a length before the payload.
pub const FLAG_RECORDS: u32 = 1;
/// Bytes of the head.
pub const HEAD_BYTES: usize = 64;
/// Where the benches lie.
pub(crate) const BENCHES_AT: usize = 128;
/// Where the engine's region begins.
pub(crate) const ENGINE_AT: usize = 640;

/// A head, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Number of the strategy; it may be one that this build does not know.
    pub strategy: u32,
    /// Elements.
    pub capacity: u64,
    /// Bytes of an element.
    pub elem_size: u64,
    /// Alignment of an element.
    pub elem_align: u64,
    /// See [`FLAG_RECORDS`].
    pub flags: u32,
    /// Participants of each side, of engines that keep a record of each; else 0.
    pub participants: u32,
    /// Length of the segment.
    pub length: u64,
}

impl Head {
    /// The bytes of this head.
    #[must_use]
    pub fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut bytes = [0; HEAD_BYTES];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&LAYOUT_VERSION.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.strategy.to_le_bytes());
        let words = [
            self.capacity,
            self.elem_size,
            self.elem_align,
            u64::from(self.flags) | u64::from(self.participants) << 32,
            self.length,
        ];
        for (i, word) in words.into_iter().enumerate() {
            bytes[16 + 8 * i..24 + 8 * i].copy_from_slice(&word.to_le_bytes());
        }
        let sum = fnv1a(&bytes[..56]);
        bytes[56..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Decodes and checks the bytes at the start of a segment of `length` bytes.
    pub fn decode(bytes: &[u8; HEAD_BYTES], length: usize) -> Result<Self, BuildError> {
        let u32_at = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4 bytes"));
        let u64_at = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        if bytes[0..8] != MAGIC {
            return Err(BuildError::Corrupt(
                "it does not begin with this library's magic bytes: another program's segment?"
                    .into(),
            ));
        }
        let version = u32_at(8);
        if version != LAYOUT_VERSION {
            return Err(BuildError::Mismatch(format!(
                "the segment has layout version {version}, this library has {LAYOUT_VERSION}"
            )));
        }
        if u64_at(56) != fnv1a(&bytes[..56]) {
            return Err(BuildError::Corrupt(
                "the head's checksum is wrong: it was damaged".into(),
            ));
        }
        let head = Self {
            strategy: u32_at(12),
            capacity: u64_at(16),
            elem_size: u64_at(24),
            elem_align: u64_at(32),
            flags: u32_at(40),
            participants: u32_at(44),
            length: u64_at(48),
        };
        if head.length != length as u64 {
            return Err(BuildError::Corrupt(format!(
                "the head says {} bytes, the segment has {length}: it was truncated or extended",
                head.length
            )));
        }
        if head.flags & !FLAG_RECORDS != 0 {
            return Err(BuildError::Mismatch(format!(
                "the segment uses features {:#x} that this library does not know",
                head.flags & !FLAG_RECORDS
            )));
        }
        Ok(head)
    }

    /// Reads the head of a mapping, once.
    ///
    /// # Safety
    /// `base` is mapped for `length` bytes.
    pub(crate) unsafe fn read(base: NonNull<u8>, length: usize) -> Result<Self, BuildError> {
        if length < ENGINE_AT {
            return Err(BuildError::Corrupt(format!(
                "it has {length} bytes, less than any ring needs"
            )));
        }
        // SAFETY: 64 mapped bytes. Volatile: another process may be writing,
        // and each byte is to be read once.
        let bytes = unsafe { base.cast::<[u8; HEAD_BYTES]>().read_volatile() };
        Self::decode(&bytes, length)
    }

    /// Says in words how two geometries differ; empty if they do not.
    #[must_use]
    pub fn difference(&self, asked: &Head) -> String {
        let mut parts = Vec::new();
        if self.strategy != asked.strategy {
            let name = |n| {
                Strategy::from_number(n).map_or_else(|| format!("number {n}"), |s| s.to_string())
            };
            parts.push(format!(
                "strategy {} there, {} asked",
                name(self.strategy),
                name(asked.strategy)
            ));
        }
        for (what, there, wanted) in [
            ("capacity", self.capacity, asked.capacity),
            ("element size", self.elem_size, asked.elem_size),
            ("element alignment", self.elem_align, asked.elem_align),
            ("flags", self.flags.into(), asked.flags.into()),
            (
                "max_threads",
                self.participants.into(),
                asked.participants.into(),
            ),
        ] {
            if there != wanted {
                parts.push(format!("{what} {there} there, {wanted} asked"));
            }
        }
        parts.join("; ")
    }
}

/// FNV-1a, 64 bits (Fowler, Noll, Vo): 56 bytes, once per attach; it tells
/// damage apart, it is no protection against malice.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}
