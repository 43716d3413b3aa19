"""What the items of a `SharedRingBuffer(dtype=...)` are. NumPy is imported here, when it is asked for."""

from typing import Any

try:
    import numpy as np
except ModuleNotFoundError:  # it is optional, so say what for
    raise ImportError("dtype= needs NumPy: pip install numpy") from None


class Arrays:
    """Items of one dtype: to bytes and back, one block copy for any number of them."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = np.dtype(dtype)
        if self.dtype.hasobject:
            raise TypeError(
                f"{self.dtype} holds references to objects, which mean nothing to another process; "
                "SharedRingBuffer(objects=True) pickles them"
            )
        if self.dtype.itemsize == 0:
            raise ValueError(f"an item of {self.dtype} has no bytes; give the dtype a length, such as 'S16'")
        # An item of ("f4", (480, 640)) is an array of that shape.
        self._base: Any = self.dtype.base
        self._shape: tuple[int, ...] = self.dtype.shape
        self.size = self.dtype.itemsize
        # What C and C++ align to, where that is more than the 8 bytes of any slot.
        self.align = max(8, *(field.alignment for field in plain_fields(self.dtype)))

    def pack(self, item: Any) -> Any:
        """The bytes of one item."""
        return self._bytes(item, self._array(item), self._shape)

    def pack_many(self, items: Any) -> Any:
        """The bytes of many items, one after the other."""
        if not hasattr(items, "dtype"):
            items = list(items)  # NumPy takes a tuple for a record
            if not items:
                return b""
        array = self._array(items)
        return self._bytes(items, array, (len(array) if array.ndim else 0, *self._shape))

    def _array(self, item: Any) -> Any:
        theirs = getattr(item, "dtype", None)
        if theirs is None:
            return np.asarray(item, self._base)
        if theirs != self._base and not np.can_cast(theirs, self._base, "safe"):
            raise TypeError(
                f"the item is of dtype {theirs}, items of this ring are of {self._base}, which cannot "
                "hold all of its values: convert it with .astype() if that is what you mean"
            )
        return np.asarray(item).astype(self._base, copy=False)

    def _bytes(self, item: Any, array: Any, shape: tuple[int, ...]) -> Any:
        if array.shape != shape:
            kind = type(item).__name__
            raise ValueError(f"the {kind} has the shape {array.shape}, {shape} is needed")
        return np.ascontiguousarray(array).reshape(-1).view(np.uint8)

    def room(self, count: int) -> tuple[Any, Any]:
        """An array for `count` items, and its bytes to write in."""
        array = np.empty((count, *self._shape), self._base)
        return array, array.reshape(-1).view(np.uint8)

    def over(self, slot: Any) -> Any:
        """An array over a slot. What is made of it holds on to it, so its count of references tells."""
        return np.ndarray(self._shape, self._base, memoryview(slot))


def plain_fields(dtype: Any) -> list[Any]:
    """The dtypes that a structured one is made of, or itself."""
    if dtype.subdtype is not None:
        return plain_fields(dtype.base)
    if dtype.fields is None:
        return [dtype]
    return [plain for field in dtype.fields.values() for plain in plain_fields(field[0])]
