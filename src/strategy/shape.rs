//! Shapes of slots: a type known to the compiler, or bytes chosen at run time.

use std::alloc::Layout;
use std::fmt::Debug;
use std::marker::PhantomData;

use crate::error::BuildError;

/// Largest element, in bytes.
pub(super) const MAX_ELEM_SIZE: usize = 16 << 20;
/// Largest element alignment, in bytes: a page.
pub(super) const MAX_ELEM_ALIGN: usize = 4096;

/// Size and alignment of what a slot holds.
///
/// `STATIC` is known to the compiler for typed slots, so that strides and
/// copies are constants; byte slots answer at run time.
pub trait Shape: Copy + Debug + Send + Sync {
    /// Size and alignment, when they are constants.
    const STATIC: Option<(usize, usize)>;
    /// Bytes of a payload.
    fn size(self) -> usize;
    /// Its alignment, a power of two.
    fn align(self) -> usize;
}

/// Slots that hold a `T`.
pub struct Typed<T>(PhantomData<fn() -> T>);

impl<T> Typed<T> {
    /// The shape of `T`.
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}
impl<T> Default for Typed<T> {
    fn default() -> Self {
        Self::new()
    }
}
impl<T> Clone for Typed<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Typed<T> {}
impl<T> Debug for Typed<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Typed<{}>", std::any::type_name::<T>())
    }
}
impl<T> Shape for Typed<T> {
    const STATIC: Option<(usize, usize)> = Some((size_of::<T>(), align_of::<T>()));
    #[inline(always)]
    fn size(self) -> usize {
        size_of::<T>()
    }
    #[inline(always)]
    fn align(self) -> usize {
        align_of::<T>()
    }
}

/// Slots of `SIZE` bytes aligned to 8: common sizes of the erased face get
/// code of their own, because a run-time stride and copy cost about 2 ns a
/// pair (`research`: measured in `benches/records`).
#[derive(Clone, Copy, Debug)]
pub struct Fixed<const SIZE: usize>;

impl<const SIZE: usize> Shape for Fixed<SIZE> {
    const STATIC: Option<(usize, usize)> = Some((SIZE, 8));
    #[inline(always)]
    fn size(self) -> usize {
        SIZE
    }
    #[inline(always)]
    fn align(self) -> usize {
        8
    }
}

/// Slots of any size and alignment.
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    size: usize,
    align: usize,
}

impl Bytes {
    /// Payloads of `size` bytes (1 to 16 MiB) aligned to `align` (a power of
    /// two up to 4096; 0 means 8).
    pub fn new(size: usize, align: usize) -> Result<Self, BuildError> {
        let align = if align == 0 { 8 } else { align };
        if size == 0 || size > MAX_ELEM_SIZE {
            return Err(BuildError::Invalid(format!(
                "elem_size is {size}; it must be 1 to {MAX_ELEM_SIZE} bytes"
            )));
        }
        if !align.is_power_of_two() || align > MAX_ELEM_ALIGN {
            return Err(BuildError::Invalid(format!(
                "elem_align is {align}; it must be a power of two up to {MAX_ELEM_ALIGN}, or 0 for 8"
            )));
        }
        Ok(Self { size, align })
    }

    /// A slot that begins with a record's length word: it may be a little
    /// larger than the largest element.
    pub(crate) fn record(size: usize, align: usize) -> Self {
        Self { size, align }
    }
}

impl Shape for Bytes {
    const STATIC: Option<(usize, usize)> = None;
    #[inline(always)]
    fn size(self) -> usize {
        self.size
    }
    #[inline(always)]
    fn align(self) -> usize {
        self.align
    }
}

/// How a payload and the words before it lie in a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotLayout {
    /// From the slot's start to its payload.
    pub offset: usize,
    /// From one slot to the next.
    pub stride: usize,
    /// Of the first slot.
    pub align: usize,
}

impl SlotLayout {
    /// A head of `head` bytes (aligned to `head_align`), then a payload.
    #[must_use]
    pub const fn of(head: usize, head_align: usize, size: usize, align: usize) -> Self {
        let slot_align = if align > head_align {
            align
        } else {
            head_align
        };
        let offset = head.next_multiple_of(align);
        // A zero-sized payload without a head still needs addresses of its own.
        let bytes = if offset + size == 0 { 1 } else { offset + size };
        Self {
            offset,
            stride: bytes.next_multiple_of(slot_align),
            align: slot_align,
        }
    }
}

/// What is the same for every user of one ring.
#[derive(Clone, Copy, Debug)]
pub struct Geometry<Sh> {
    /// Elements, at least 1.
    pub capacity: usize,
    /// Of a slot's payload.
    pub shape: Sh,
    /// Whether other processes may look.
    pub shared: bool,
    /// Participants, at least 1, of engines that keep records of them.
    pub participants: usize,
    /// Attempts before a call of such an engine lets others help; 0: none.
    pub patience: u32,
}

impl<Sh: Shape> Geometry<Sh> {
    /// With the usual number of participants.
    #[must_use]
    pub const fn new(capacity: usize, shape: Sh, shared: bool) -> Self {
        Self {
            capacity,
            shape,
            shared,
            participants: 64,
            patience: 64,
        }
    }

    /// `capacity` slots of `layout` after a header.
    pub(crate) fn array(
        &self,
        header: Layout,
        slot: SlotLayout,
    ) -> Result<(Layout, usize), BuildError> {
        let too_large = || {
            BuildError::Invalid(format!(
                "{} slots of {} bytes do not fit the address space",
                self.capacity, slot.stride
            ))
        };
        let bytes = slot
            .stride
            .checked_mul(self.capacity)
            .ok_or_else(too_large)?;
        let slots = Layout::from_size_align(bytes, slot.align.max(128)).map_err(|_| too_large())?;
        let (whole, offset) = header.extend(slots).map_err(|_| too_large())?;
        Ok((whole.pad_to_align(), offset))
    }
}
