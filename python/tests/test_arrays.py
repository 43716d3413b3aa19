"""Rings of a NumPy dtype: scalars, records, arrays; block copies; the same bytes as a C struct."""

import copy
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from helpers import Worker, asleep
from turtle_buffers import Empty, Full, Mismatch, SharedRingBuffer, ShutDown

TICK = np.dtype([("time", "i8"), ("price", "f8"), ("size", "i4"), ("side", "S1")], align=True)

# dtype and three items of it.
KINDS: dict[str, tuple[Any, list[Any]]] = {
    "int": ("i8", [1, -2, 2**62]),
    "float": (np.float32, [0.5, -1.25, 3e8]),
    "bool": (bool, [True, False, True]),
    "complex": ("c16", [1 + 2j, -1j, 0.5]),
    "text": ("U5", ["ab", "", "héllo"]),
    "bytes": ("S3", [b"abc", b"", b"x"]),
    "time": ("M8[ns]", [np.datetime64("2026-01-01"), np.datetime64("1969-12-31T23:59:59.5"), np.datetime64("NaT")]),
    "swapped": (">u2", [1, 256, 65535]),
    "record": (TICK, [(1, 2.5, 3, b"B"), (4, 5.5, 6, b"S"), (-1, 0.0, 0, b"")]),
    "packed": ("u1, f8", [(1, 2.5), (2, 3.5), (255, -1.0)]),
    "array": (("f4", (2, 3)), [np.arange(6, dtype="f4").reshape(2, 3) + n for n in range(3)]),
    "array of records": ((TICK, 2), [np.zeros(2, TICK), np.ones(2, TICK), np.zeros(2, TICK)]),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[np.dtype[Any], list[Any]]:
    """A dtype, and items."""
    dtype, items = KINDS[request.param]
    return np.dtype(dtype), items


def same(one: Any, other: Any, dtype: np.dtype[Any]) -> bool:
    """Bit for bit, which also knows NaT."""
    one, other = np.asarray(one, dtype.base), np.asarray(other, dtype.base)
    if dtype.base.fields:  # the bytes between fields may be anything
        return one.shape == other.shape and bool((one == other).all())
    return one.tobytes() == other.tobytes()


def test_items_come_out_as_they_went_in(name: str, kind: tuple[np.dtype[Any], list[Any]]) -> None:
    dtype, items = kind
    with SharedRingBuffer(name, 4, dtype=dtype, create=True) as ring:
        assert (ring.dtype, ring.item_size, ring.objects) == (dtype, dtype.itemsize, False)
        for item in items:
            ring.put(item)
            ring.put_nowait(np.asarray(item, dtype.base))
            ring.put(np.asarray(item, dtype.base)[()])  # a scalar, where there are scalars of it
            got = [ring.get(), ring.get_nowait(), ring.get(timeout=1)]
            for answer in got:
                assert same(answer, item, dtype)
                assert answer.shape == dtype.shape
                # NumPy's scalars have no byte order, and strings the length that they have.
                assert answer.dtype == dtype.base or answer.dtype.kind == dtype.kind in "USu"


def test_a_record_is_ones_own(name: str) -> None:
    with SharedRingBuffer(name, 4, dtype=TICK) as ring:
        ring.put_many([(1, 2.0, 3, b"B"), (4, 5.0, 6, b"S")])
        first, second = ring.get(), ring.get()
        first["price"] = 7.5
        assert (first["price"], second["price"], second["side"]) == (7.5, 5.0, b"S")


def test_batches(name: str, shared_strategy: str, kind: tuple[np.dtype[Any], list[Any]]) -> None:
    dtype, items = kind
    with SharedRingBuffer(name, 7, dtype=dtype, strategy=shared_strategy, create=True) as ring:
        whole = np.stack([np.asarray(item, dtype.base) for item in items])
        for given in (items, tuple(items), (item for item in items), whole, whole[:2], whole[::-1]):
            count = 2 if given is not whole and getattr(given, "shape", (0,))[0] == 2 else 3
            assert ring.put_many(given) == count
            got = ring.get_many(10)
            assert isinstance(got, np.ndarray) and got.dtype == dtype.base
            assert got.shape == (count, *dtype.shape)
            wanted = whole[::-1] if getattr(given, "base", None) is whole and count == 3 else whole
            assert same(got, wanted[:count], dtype)
        assert ring.put_many([]) == ring.put_many(whole[:0]) == 0
        assert len(ring.get_many(0)) == 0


def test_partial_batches_and_waiting(name: str, shared_strategy: str) -> None:
    with SharedRingBuffer(name, 5, dtype="i8", strategy=shared_strategy, create=True) as ring:
        assert ring.put_many(np.arange(8), block=False) == 5
        with pytest.raises(Full):
            ring.put_many(np.arange(8), timeout=0.01)
        assert ring.get_many(3).tolist() == [0, 1, 2]
        assert ring.get_many(3).tolist() == [3, 4]
        with pytest.raises(Empty):
            ring.get_many(3, timeout=0.01)
        ring.release_thread()
        waits = ring.stats()["waits"]
        putter = Worker(ring.put_many, np.arange(1000))
        got: list[int] = []
        while len(got) < 1000:
            got += ring.get_many(7).tolist()
        assert got == list(range(1000)) and putter.result() == 1000
        ring.release_thread()
        getter = Worker(ring.get_many, 4)
        asleep(ring, waits + 1)
        ring.put_many([1, 2])
        first = getter.result().tolist()
        assert first in ([1], [1, 2])
        ring.shutdown()
        with pytest.raises(ShutDown):
            ring.put_many([1])


def test_what_is_not_of_that_dtype(name: str) -> None:
    with SharedRingBuffer(name, 4, dtype="f4", create=True) as ring:
        for item in (np.float64(1), np.zeros((), "i8"), np.zeros((), "M8[s]"), np.zeros((), TICK)):
            with pytest.raises(TypeError, match=r"astype"):
                ring.put(item)
        ring.put(np.float16(1.5))
        ring.put(np.int16(-3))
        assert ring.get_many(2).tolist() == [1.5, -3.0], "what it can hold is converted"
        for item in (np.zeros(1, "f4"), np.zeros((1, 1), "f4"), [1.0], [1.0, 2.0]):
            with pytest.raises(ValueError, match=r"shape"):
                ring.put(item)  # type: ignore[arg-type]
        with pytest.raises((ValueError, TypeError)):
            ring.put("text")  # type: ignore[arg-type]
        for items in (np.zeros((2, 1), "f4"), np.float32(1), [[1.0]]):
            with pytest.raises(ValueError, match=r"shape"):
                ring.put_many(items)
        with pytest.raises(TypeError):
            ring.put_many(np.arange(3))
        assert ring.empty()


def test_dtypes_that_cannot_be(name: str) -> None:
    with pytest.raises(TypeError, match=r"objects=True"):
        SharedRingBuffer(name, dtype=object)
    with pytest.raises(TypeError, match=r"objects=True"):
        SharedRingBuffer(name, dtype=[("a", "i4"), ("b", "O")])
    for empty in ("S", "V0", ("i4", 0)):
        with pytest.raises(ValueError, match="no bytes"):
            SharedRingBuffer(name, dtype=empty)
    with pytest.raises(TypeError):
        SharedRingBuffer(name, dtype="no such type")
    with pytest.raises(ValueError, match="exclude"):
        SharedRingBuffer(name, dtype="i4", objects=True)
    with pytest.raises(ValueError, match="leave item_size out"):
        SharedRingBuffer(name, 4, 8, dtype="i4")
    with pytest.raises(FileNotFoundError):
        SharedRingBuffer(name, create=False)


def test_who_attaches_with_another_idea_is_told(name: str) -> None:
    ring = SharedRingBuffer(name, 4, dtype=TICK, create=True)
    assert SharedRingBuffer(name, 4, TICK.itemsize).item_size == TICK.itemsize == 24
    for create in (None, False):
        with pytest.raises(Mismatch, match=r"items have 24 bytes; items of dtype float64 have 8"):
            SharedRingBuffer(name, dtype="f8", create=create)
        with pytest.raises(Mismatch, match="24 there, 16 asked"):
            SharedRingBuffer(name, item_size=16, create=create)
        with pytest.raises(Mismatch, match="a ring of its own"):
            SharedRingBuffer(name, objects=True, create=create)
    # Without a dtype they are the bytes.
    ring.put((1, 2.5, 3, b"B"))
    plain = SharedRingBuffer(name)
    assert np.frombuffer(plain.get(), TICK)[0]["price"] == 2.5
    plain.put(np.zeros(1, TICK))
    assert ring.get()["time"] == 0
    with SharedRingBuffer(name + "r", 4, 24) as records:
        with pytest.raises(Mismatch, match=r"any length up to 24; items of dtype"):
            SharedRingBuffer(records.name, dtype=TICK)
        records.unlink()


def test_plain_bytes_of_one_size(name: str) -> None:
    """The batches of a ring of elements, without a dtype."""
    SharedRingBuffer(name, 6, dtype="V3", create=True)
    with SharedRingBuffer(name) as ring:
        assert ring.put_many([b"abc", bytearray(b"def")]) == 2
        assert ring.put_many((b"%03d" % n for n in range(9)), block=False) == 4
        assert ring.get_many(3) == [b"abc", b"def", b"000"]
        assert ring.get_many(99) == [b"001", b"002", b"003"]
        with pytest.raises(ValueError, match="exactly 3"):
            ring.put_many([b"one", b"four", b"two"])
        assert ring.get_many(9) == [b"one"], "what came before the bad one was put"
        room = bytearray(4)
        ring.put(b"xyz")
        assert (ring.get_into(room), room) == (3, bytearray(b"xyz\0"))
        with pytest.raises(ValueError, match="stays"):
            ring.get_into(bytearray(2))


def test_as_a_name(name: str) -> None:
    for dtype in (TICK, np.dtype(("f4", (2, 3)))):
        with SharedRingBuffer(name, 4, dtype=dtype) as ring:
            for other in (pickle.loads(pickle.dumps(ring)), copy.copy(ring)):
                assert other.dtype == dtype
                ring.put(np.ones(dtype.shape, dtype.base))
                assert same(other.get(), np.ones(dtype.shape, dtype.base), dtype)
            ring.unlink()
            SharedRingBuffer(name, 4, 5)  # so that the fixture finds something
            SharedRingBuffer(name).unlink()
    SharedRingBuffer(name)


# In place


def test_claim_and_peek_give_arrays(name: str, kind: tuple[np.dtype[Any], list[Any]]) -> None:
    dtype, items = kind
    with SharedRingBuffer(name, 2, dtype=dtype, create=True) as ring:
        for item in items:
            with ring.claim() as slot:
                assert (slot.shape, slot.dtype, slot.flags.writeable) == (dtype.shape, dtype.base, True)
                assert slot.flags.aligned or not dtype.isalignedstruct
                slot[...] = item
            with pytest.raises(ValueError, match="read-only"):
                slot[...] = item
            with ring.peek() as slot:
                assert same(slot, item, dtype)
                with pytest.raises(ValueError, match="read-only"):
                    slot[...] = item
        assert ring.empty()


def test_arrays_made_of_the_slot_keep_it(name: str) -> None:
    with SharedRingBuffer(name, 2, dtype=(TICK, 4), create=True) as ring:
        for part in (lambda a: a["price"], lambda a: a[1:], lambda a: a, memoryview, lambda a: a[0]):
            claim = ring.claim()
            with pytest.raises(BufferError, match="still in use"):
                with claim as slot:
                    slot["price"] = 1.5
                    kept = part(slot)
            with pytest.raises(Empty):
                ring.get(timeout=0.01)
            del kept
            claim.commit()
            assert ring.get()["price"].tolist() == [1.5] * 4


def test_what_the_blocks_variable_shows_later_is_mapped(name: str) -> None:
    """It may be anything, but it is no fault to look."""
    with SharedRingBuffer(name, 2, dtype=("u1", 4096), create=True) as ring:
        ring.unlink()
        ring.put(np.full(4096, 7, "u1"))
        with ring.peek() as slot:
            pass
    del ring
    assert slot.sum() >= 0
    SharedRingBuffer(name)


def test_alignment_beyond_eight(name: str) -> None:
    dtype = np.dtype([("a", "i1"), ("b", np.longdouble)], align=True)
    if dtype.alignment <= 8:
        pytest.skip("no type of this machine needs more")
    with SharedRingBuffer(name, 3, dtype=dtype, create=True) as ring:
        for _ in range(4):
            with ring.claim() as slot:
                assert slot.ctypes.data % dtype.alignment == 0
                slot["b"] = 2.5
            assert ring.get()["b"] == 2.5


def test_numpy_is_not_needed_otherwise(name: str) -> None:
    script = """
import sys
sys.modules["numpy"] = None  # importing it fails
import turtle_buffers
with turtle_buffers.SharedRingBuffer(sys.argv[1], 4, 16) as ring:
    ring.put(b"x"); assert ring.get() == b"x"
    with ring.claim(1) as view: view[0] = 1
    assert ring.get_many(1) == [b"\\1"]
try:
    turtle_buffers.SharedRingBuffer(sys.argv[1], dtype="f8")
except ImportError as error:
    assert "pip install numpy" in str(error), error
else:
    raise AssertionError
"""
    done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
