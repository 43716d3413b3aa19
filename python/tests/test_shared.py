"""SharedRingBuffer in one process: names, geometry, bytes, leaving and ending."""

import array
import copy
import os
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest

import turtle_buffers
from helpers import Worker, asleep
from turtle_buffers import (
    Corrupt,
    Empty,
    Full,
    Interrupted,
    Mismatch,
    SharedRingBuffer,
    ShutDown,
)

SHM = Path("/dev/shm")


# Making and finding


def test_two_handles_are_one_ring(name: str, shared_strategy: str) -> None:
    one = SharedRingBuffer(name, 4, 16, strategy=shared_strategy, create=True)
    other = SharedRingBuffer(name, create=False)
    assert (other.strategy, other.maxsize, other.capacity, other.item_size, other.name) == (
        shared_strategy,
        4,
        4,
        16,
        name,
    )
    one.put(b"hello")
    assert len(other) == 1
    assert other.get() == b"hello"


def test_defaults(name: str) -> None:
    ring = SharedRingBuffer(name)
    assert (ring.capacity, ring.item_size) == (1024, 1024)
    assert repr(ring).startswith("<SharedRingBuffer strategy=")


def test_a_missing_slash_is_added(name: str) -> None:
    with SharedRingBuffer(name.lstrip("/"), 2, 8) as ring:
        assert ring.name == name
        turtle_buffers.unlink(name.lstrip("/"))


def test_create_says_what_to_do(name: str) -> None:
    with pytest.raises(FileNotFoundError, match=name):
        SharedRingBuffer(name, create=False)
    with pytest.raises(FileNotFoundError, match=name):
        SharedRingBuffer(name, 4, 16, create=False)
    SharedRingBuffer(name, 4, 16, create=True)
    with pytest.raises(FileExistsError, match=name) as raised:
        SharedRingBuffer(name, 4, 16, create=True)
    assert raised.value.errno is not None
    assert SharedRingBuffer(name, 4, 16).capacity == 4
    assert SharedRingBuffer(name).capacity == 4
    assert SharedRingBuffer(name, capacity=4).item_size == 16


@pytest.mark.parametrize(
    ("capacity", "item_size", "strategy", "word"),
    [(5, 16, None, "capacity"), (4, 64, None, "size"), (None, None, "spsc", "strategy")],
)
def test_a_different_ring_of_that_name(
    name: str, capacity: int | None, item_size: int | None, strategy: str | None, word: str
) -> None:
    SharedRingBuffer(name, 4, 16, strategy="turn", create=True)
    for create in (None, False):
        with pytest.raises(Mismatch, match=word):
            SharedRingBuffer(name, capacity, item_size, strategy=strategy, create=create)
    assert issubclass(Mismatch, ValueError)


@pytest.mark.parametrize("bad", ["", "/", "/a/b", "/..", "/" + "x" * 300])
def test_bad_names(bad: str) -> None:
    with pytest.raises(ValueError, match="name"):
        SharedRingBuffer(bad)
    with pytest.raises(ValueError, match="name"):
        turtle_buffers.unlink(bad)


@pytest.mark.parametrize(("capacity", "item_size"), [(0, 8), (8, 0), (8, 2**40)])
def test_bad_sizes(name: str, capacity: int, item_size: int) -> None:
    with pytest.raises(ValueError):
        SharedRingBuffer(name, capacity, item_size)
    with pytest.raises(FileNotFoundError):
        turtle_buffers.unlink(name)


@pytest.mark.skipif(not SHM.is_dir(), reason="shared memory is not in /dev/shm here")
def test_what_is_no_ring_is_corrupt(name: str) -> None:
    file = SHM / name.lstrip("/")
    file.write_bytes(b"something else" * 1000)
    with pytest.raises(Corrupt, match=name):
        SharedRingBuffer(name)
    assert issubclass(Corrupt, OSError)


@pytest.mark.skipif(not SHM.is_dir(), reason="shared memory is not in /dev/shm here")
def test_only_the_owner_may_open_it_unless_told_otherwise(name: str) -> None:
    file = SHM / name.lstrip("/")
    SharedRingBuffer(name, 2, 8)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    turtle_buffers.unlink(name)
    SharedRingBuffer(name, 2, 8, mode=0o660)
    assert stat.S_IMODE(file.stat().st_mode) == 0o660


@pytest.mark.skipif(not SHM.is_dir(), reason="shared memory is not in /dev/shm here")
def test_no_room_in_shared_memory(name: str) -> None:
    room = os.statvfs(SHM)
    items = 2 * room.f_blocks * room.f_frsize // 2**24 + 1
    if not 1 < items < 2**30:
        pytest.skip("shared memory has no limit here")
    with pytest.raises((MemoryError, OSError)):
        SharedRingBuffer(name, items, 2**24, create=True)
    with pytest.raises(FileNotFoundError):
        turtle_buffers.unlink(name)


# Bytes


@pytest.mark.parametrize(
    "item",
    [
        b"",
        b"x",
        b"\0" * 32,
        bytes(range(32)),
        bytearray(b"array of bytes"),
        memoryview(b"a view of some bytes")[7:11],
        array.array("d", [1.5, 2.5]),
        np.arange(4, dtype=np.int64),
        np.arange(6, dtype=np.int32).reshape(2, 3),
        np.float64(2.5),
    ],
    ids=lambda item: type(item).__name__,
)
def test_any_bytes_in_and_the_same_bytes_out(shared: SharedRingBuffer, item: object) -> None:
    shared.put(item)  # type: ignore[arg-type]
    shared.put_nowait(item)  # type: ignore[arg-type]
    assert shared.put_many([item, item]) == 2  # type: ignore[list-item]
    wanted = bytes(memoryview(item))  # type: ignore[arg-type]
    got = [shared.get(), shared.get_nowait(), *shared.get_many(5)]
    assert got == [wanted] * 4
    assert all(type(answer) is bytes for answer in got)


def test_a_waiting_get_answers_the_same_bytes(shared: SharedRingBuffer) -> None:
    for item in (b"", b"short", bytes(range(32))):
        seen = shared.stats()["waits"]
        getter = Worker(shared.get)
        asleep(shared, seen + 1)
        shared.put(item)
        assert getter.result() == item


def test_what_is_no_item(shared: SharedRingBuffer) -> None:
    with pytest.raises(ValueError, match="33 bytes.*at most 32"):
        shared.put(b"x" * 33)
    with pytest.raises(TypeError, match="encode"):
        shared.put("text")  # type: ignore[arg-type]
    for item in (None, 5, ["a"]):
        with pytest.raises(TypeError):
            shared.put(item)  # type: ignore[arg-type]
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        shared.put(np.arange(8, dtype=np.int8)[::2])  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        shared.put_many([b"good", b"x" * 33])
    assert shared.get_many(5) == [b"good"], "what came before the bad one was put"
    assert shared.empty()


def test_buffers_are_let_go(shared: SharedRingBuffer) -> None:
    item = bytearray(b"mine")
    shared.put(item)
    item += b" again"  # BufferError if it were still held
    assert shared.get() == b"mine"


def test_long_items(name: str, shared_strategy: str) -> None:
    size = 3 * 2**20
    with SharedRingBuffer(name, 2, size, strategy=shared_strategy) as ring:
        item = os.urandom(size)
        for length in (size, size - 1, 1, 0):
            ring.put(item[:length])
            assert ring.get() == item[:length]


def test_order_over_many_rounds(shared: SharedRingBuffer) -> None:
    put, got = 0, []
    while put < 2000:
        batch = [b"%d" % number for number in range(put, min(put + 5, 2000))]
        put += shared.put_many(batch, block=False)
        got += shared.get_many(3)
    shared.shutdown()
    got += list(shared)
    assert [int(item) for item in got] == list(range(2000))


# Full, empty, in time


def test_full_and_empty(shared: SharedRingBuffer) -> None:
    for call in (
        lambda: shared.get(False),
        lambda: shared.get(timeout=0.01),
        shared.get_nowait,
        lambda: shared.get_many(3, block=False),
    ):
        with pytest.raises(Empty):
            call()
    assert shared.put_many([b"x"] * 20, block=False) == 8
    assert shared.full() and not shared.empty() and shared.qsize() == 8
    for put in (
        lambda: shared.put(b"y", False),
        lambda: shared.put(b"y", timeout=0.01),
        lambda: shared.put_nowait(b"y"),
        lambda: shared.put_many([b"y"], timeout=0.01),
    ):
        with pytest.raises(Full):
            put()
    assert shared.get_many(100) == [b"x"] * 8
    assert shared.get_many(0) == [] and shared.put_many([]) == 0


def test_interrupt(shared: SharedRingBuffer) -> None:
    getter = Worker(shared.get)
    asleep(shared)
    shared.interrupt()
    with pytest.raises(Interrupted):
        getter.result()


# Leaving, ending, removing


def test_close_leaves_and_the_ring_goes_on(name: str, shared_strategy: str) -> None:
    one = SharedRingBuffer(name, 4, 16, strategy=shared_strategy, create=True)
    other = SharedRingBuffer(name)
    one.put(b"still here")
    one.close()
    one.close()
    assert repr(one) == "<SharedRingBuffer closed>"
    for call in (
        lambda: one.put(b"x"),
        one.get,
        lambda: one.put_many([b"x"]),
        lambda: one.get_many(1),
        one.qsize,
        one.stats,
        one.shutdown,
        one.interrupt,
        lambda: one.maxsize,
        lambda: pickle.dumps(one),
    ):
        with pytest.raises(ValueError, match="closed"):
            call()
    assert other.get() == b"still here"
    other.put(b"and goes on")
    assert not other.is_shutdown


def test_close_ends_waits_of_that_handle_only(name: str) -> None:
    one = SharedRingBuffer(name, 4, 16, create=True)
    other = SharedRingBuffer(name)
    leaving, staying = Worker(one.get), Worker(other.get)
    asleep(one)
    asleep(other)
    one.close()
    with pytest.raises(ValueError, match="closed"):
        leaving.result()
    other.put(b"x")
    assert staying.result() == b"x"


def test_with_block_leaves(name: str) -> None:
    with SharedRingBuffer(name, 4, 16) as ring:
        ring.put(b"x")
    with pytest.raises(ValueError, match="closed"):
        ring.get()
    with SharedRingBuffer(name) as ring:
        assert ring.get() == b"x"


def test_leaving_gives_the_sides_back(name: str) -> None:
    with SharedRingBuffer(name, 4, 16, strategy="spsc") as one:
        one.put(b"a")
        assert one.get() == b"a"
        with SharedRingBuffer(name) as other:
            with pytest.raises(RuntimeError, match="one producer"):
                other.put(b"b")
    with SharedRingBuffer(name) as other:
        other.put(b"b")
        assert other.get() == b"b"


def test_shutdown_is_for_all(name: str, shared_strategy: str) -> None:
    one = SharedRingBuffer(name, 4, 16, strategy=shared_strategy, create=True)
    other = SharedRingBuffer(name)
    one.put(b"last")
    getter = Worker(list, other)
    one.shutdown()
    assert getter.result() == [b"last"]
    assert other.is_shutdown
    # Who owns a side that only one may have is still asked first.
    for call in (lambda: one.put(b"x"), lambda: one.put_many([b"x"]), lambda: Worker(other.get).result()):
        with pytest.raises(ShutDown):
            call()
    assert SharedRingBuffer(name).is_shutdown


def test_immediate_shutdown(shared: SharedRingBuffer) -> None:
    shared.put_many([b"x"] * 5)
    shared.shutdown(immediate=True)
    assert shared.empty()
    with pytest.raises(ShutDown):
        shared.get()


def test_unlink_removes_the_name_only(name: str) -> None:
    ring = SharedRingBuffer(name, 4, 16)
    ring.unlink()
    ring.put(b"x")
    assert ring.get() == b"x"
    with pytest.raises(FileNotFoundError):
        ring.unlink()
    with pytest.raises(FileNotFoundError, match=name):
        turtle_buffers.unlink(name)
    with pytest.raises(FileNotFoundError):
        SharedRingBuffer(name, create=False)


# As a name


def test_it_pickles_as_its_name(shared: SharedRingBuffer) -> None:
    shared.put(b"x")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(shared, protocol))
        assert (other.name, other.strategy) == (shared.name, shared.strategy)
        assert len(other) == 1
    assert len(copy.copy(shared)) == 1


def test_a_pickle_of_another_ring_does_not_load(name: str) -> None:
    with SharedRingBuffer(name, 4, 16) as ring:
        sent = pickle.dumps(ring)
        ring.unlink()
    with pytest.raises(FileNotFoundError):
        pickle.loads(sent)
    SharedRingBuffer(name, 4, 32)
    with pytest.raises(Mismatch):
        pickle.loads(sent)


# Participants and sessions


@pytest.mark.parametrize(("option", "bad"), [("max_threads", 0), ("max_threads", 2**16 + 1), ("max_threads", -1), ("patience", -1), ("patience", 2**32)])
def test_participants_out_of_range(name: str, option: str, bad: int) -> None:
    with pytest.raises(ValueError, match=option):
        SharedRingBuffer(name, **{option: bad})  # type: ignore[call-overload]
    with pytest.raises(ValueError, match=option):
        turtle_buffers.RingBuffer(4, **{option: bad})  # type: ignore[arg-type]


def test_engines_without_records_ignore_participants(name: str, shared_strategy: str) -> None:
    options = {"strategy": shared_strategy, "max_threads": 3, "patience": 0}
    ring = SharedRingBuffer(name, 4, 8, **options)  # type: ignore[call-overload]
    other = SharedRingBuffer(name)
    ring.put(b"a")
    assert other.get() == b"a"
    assert turtle_buffers.RingBuffer(4, **options).maxsize == 4  # type: ignore[arg-type]


def test_sessions_need_an_engine_with_records(name: str) -> None:
    shared = SharedRingBuffer(name, 4, 8, strategy="turn")
    for session in (shared.as_producer, shared.as_consumer):
        with pytest.raises(NotImplementedError, match="no record"):
            session(7)
        with pytest.raises(ValueError, match="0 is no session"):
            session(0)
    with pytest.raises(NotImplementedError):
        shared.forget_producer(7)
    with pytest.raises(NotImplementedError):
        shared.forget_consumer(7)
    assert shared.recovered is None
    assert shared.orphans() == []
    assert shared.reclaim() == 0
