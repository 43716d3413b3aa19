"""`claim` and `peek`: slots written and read in place, and nobody gets at them afterwards."""

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from helpers import MANY, PATIENCE, SHARED, Worker, asleep
from turtle_buffers import Busy, Empty, Full, Interrupted, SharedRingBuffer, ShutDown, strategies

MANY_SHARED = [name for name in MANY if name in SHARED]
# Where a claim keeps its slot, so that others see it halfway, and any thread may end it.
SAY_BUSY = [engine["name"] for engine in strategies() if engine["shared"] and "Busy" in engine["stopped_thread"]]


def nothing(ring: SharedRingBuffer) -> None:
    """No item is there. Its length may say otherwise: a claim that was abandoned is skipped later."""
    with pytest.raises(Empty):
        ring.get(timeout=0.005)


def test_what_is_written_is_appended(shared: SharedRingBuffer) -> None:
    for size in (0, 1, 31, 32):
        with shared.claim(size) as view:
            assert (view.format, view.shape, view.readonly, view.nbytes) == ("B", (size,), False, size)
            view[:] = bytes(range(size))
        assert shared.get() == bytes(range(size))


def test_a_claim_without_a_length_is_a_whole_slot(shared: SharedRingBuffer) -> None:
    with shared.claim() as view:
        view[:] = b"x" * len(view)
    assert shared.get() == b"x" * 32


def test_the_length_may_be_said_at_the_end(shared: SharedRingBuffer) -> None:
    claim = shared.claim()
    with claim as view:
        view[:5] = b"hello"
        with pytest.raises(ValueError, match="at most 32"):
            claim.commit(33)
        view[0] = ord("j")  # still claimed
        claim.commit(5)
        with pytest.raises(ValueError, match="released"):
            view[0] = 0
        assert shared.get() == b"jello", "it is there before the block ends"
        with pytest.raises(RuntimeError, match="given back"):
            claim.commit(5)
    assert shared.empty()


def test_a_peek_shows_the_item_and_takes_it(shared: SharedRingBuffer) -> None:
    shared.put_many([b"first", b"second"])
    with shared.peek() as view:
        assert (bytes(view), view.readonly, view.format) == (b"first", True, "B")
        with pytest.raises(TypeError):
            view[0] = 0
        assert len(shared) <= 2
    assert shared.get() == b"second"
    with pytest.raises(Empty):
        with shared.peek(block=False):
            pass


def test_an_exception_gives_a_claim_back_without_a_trace(shared: SharedRingBuffer) -> None:
    for n in range(30):  # more than there are slots
        with pytest.raises(KeyError):
            with shared.claim(4) as view:
                view[:] = b"lost"
                raise KeyError(n)
        nothing(shared)
    for n in range(8):
        shared.put_nowait(b"%d" % n)
    assert shared.get_many(9) == [b"%d" % n for n in range(8)]


def test_an_exception_in_a_peek_leaves_the_item_taken(shared: SharedRingBuffer) -> None:
    shared.put_many([b"taken", b"next"])
    with pytest.raises(KeyError):
        with shared.peek():
            raise KeyError
    assert shared.get() == b"next"


def test_abandon_and_release_by_hand(shared: SharedRingBuffer) -> None:
    claim = shared.claim(3)
    with claim as view:
        claim.abandon()
        with pytest.raises(ValueError, match="released"):
            bytes(view)
    nothing(shared)
    shared.put(b"x")
    peek = shared.peek()
    with peek as view:
        peek.release()
        with pytest.raises(ValueError, match="released"):
            bytes(view)
        with pytest.raises(RuntimeError, match="given back"):
            peek.release()
    assert shared.empty()


# Using it too long


def test_using_the_view_after_the_block_raises(shared: SharedRingBuffer) -> None:
    with shared.claim(4) as written:
        written[:] = b"item"
    with shared.peek() as read:
        pass
    for view in (written, read):
        for use in (lambda: view[0], lambda: bytes(view), lambda: view.tobytes(), lambda: memoryview(view)):  # noqa: B023
            with pytest.raises(ValueError, match="released"):
                use()
    with pytest.raises(ValueError, match="released"):
        written[0] = 1


@pytest.mark.parametrize(
    "use", [lambda view: view[1:3], lambda view: np.frombuffer(view, np.uint8), memoryview],
    ids=["slice", "array", "view"],
)
def test_a_part_that_is_still_in_use_keeps_the_slot(shared: SharedRingBuffer, use: object) -> None:
    claim = shared.claim(4)
    with pytest.raises(BufferError, match="still in use"):
        with claim as view:
            view[:] = b"abcd"
            kept = use(view)  # type: ignore[operator]
    nothing(shared)
    kept[0] = ord("z")
    assert bytes(kept)[:1] == b"z", "and still ours"
    del kept
    claim.commit()
    assert len(shared.get()) == 4

    shared.put(b"abcd")
    peek = shared.peek()
    with pytest.raises(BufferError, match="still in use"):
        with peek as view:
            kept = use(view)  # type: ignore[operator]
    assert len(bytes(kept)) in (2, 4)
    with pytest.raises(BufferError):
        peek.release()
    del kept
    peek.release()
    for _ in range(3):  # all slots are free again
        assert shared.put_many([b"x"] * 9, block=False) == 8
        assert len(shared.get_many(9)) == 8


def test_outside_of_a_block_there_is_nothing(shared: SharedRingBuffer) -> None:
    claim = shared.claim(4)
    with pytest.raises(BufferError, match="with block"):
        memoryview(claim)
    with pytest.raises(RuntimeError, match="with block"):
        claim.commit()
    with claim as view:
        view[:] = b"once"
    with pytest.raises(RuntimeError, match="lent once"):
        claim.__enter__()
    with pytest.raises(BufferError, match="with block"):
        memoryview(claim)


def test_a_slot_that_is_forgotten_is_given_back(shared: SharedRingBuffer) -> None:
    def forgetful() -> Iterator[None]:
        with shared.claim(4):
            yield

    for _ in range(20):
        block = forgetful()
        next(block)
        del block
        shared.claim(4).__enter__()  # a view that nobody keeps
        gc.collect()
    shared.put(b"x")
    shared.peek().__enter__()
    gc.collect()
    assert shared.put_many([b"y"] * 9, block=False) == 8


def test_the_ring_may_be_closed_meanwhile(name: str) -> None:
    """The slot stays mapped for as long as somebody may look at it."""
    ring = SharedRingBuffer(name, 4, 2**20, create=True)
    other = SharedRingBuffer(name)
    with ring.claim(2**20) as view:
        ring.close()
        view[-1] = 7
    assert other.get()[-1] == 7


# Waiting


def test_it_waits_for_room_and_for_items(shared: SharedRingBuffer) -> None:
    def peek() -> bytes:
        with shared.peek() as view:
            return bytes(view)

    peeker = Worker(peek)
    asleep(shared)
    with shared.claim(2) as view:
        view[:] = b"ok"
    assert peeker.result() == b"ok"
    shared.put_many([b"x"] * 8)
    with pytest.raises(Full):
        with shared.claim(timeout=0.01):
            pass
    shared.release_thread()
    waits = shared.stats()["waits"]

    def claim() -> None:
        with shared.claim(1) as view:
            view[:] = b"y"

    claimer = Worker(claim)
    asleep(shared, waits + 1)
    shared.get()
    claimer.result()
    assert shared.get_many(8) == [b"x"] * 7 + [b"y"]


@pytest.mark.parametrize("strategy", SAY_BUSY)
def test_one_claim_gets_one_slot_whoever_enters_it(name: str, strategy: str) -> None:
    """Two threads enter the same claim while the first one still waits for room."""
    with SharedRingBuffer(name, 2, 8, strategy=strategy, create=True) as ring:
        ring.put_many([b"a", b"b"])
        claim = ring.claim(1)
        first = Worker(claim.__enter__)
        asleep(ring)
        with pytest.raises(RuntimeError, match="lent once"):
            claim.__enter__()
        with pytest.raises(RuntimeError, match="no slot is lent yet"):
            claim.commit()
        assert ring.get() == b"a"
        first.result()[:] = b"c"
        claim.commit()
        assert ring.get_many(2) == [b"b", b"c"]
        assert ring.put_many([b"d", b"e"], block=False) == 2, "a slot was lost"


@pytest.mark.parametrize("strategy", SAY_BUSY)
def test_one_claim_is_committed_once(name: str, strategy: str) -> None:
    """Threads that end the same claim at once: only without the interpreter lock do they really meet."""
    rounds, threads = 200, 4
    with SharedRingBuffer(name, 8, 8, strategy=strategy, create=True) as ring:
        claims = [ring.claim(1) for _ in range(rounds)]
        views = []
        start, entered = threading.Barrier(threads), threading.Barrier(threads + 1)

        def end(number: int) -> int:
            done = 0
            for claim in claims:
                entered.wait(PATIENCE)
                start.wait(PATIENCE)
                try:
                    claim.commit() if number % 2 else claim.abandon()
                    done += 1
                except RuntimeError:
                    pass  # another thread was quicker
                entered.wait(PATIENCE)
            return done

        workers = [Worker(end, number) for number in range(threads)]
        for claim in claims:
            views.append(claim.__enter__())
            entered.wait(PATIENCE)
            entered.wait(PATIENCE)
            while ring.stats()["pushed"] > ring.stats()["popped"]:
                try:
                    ring.get_nowait()
                except Empty:
                    break
        assert sum(worker.result() for worker in workers) == rounds
        nothing(ring)
        assert ring.put_many([b"x"] * 8, block=False) == 8, "a slot was lost"


def test_its_waits_end_as_others_do(shared: SharedRingBuffer) -> None:
    def peek() -> None:
        with shared.peek():
            pass

    peeker = Worker(peek)
    asleep(shared)
    shared.interrupt()
    with pytest.raises(Interrupted):
        peeker.result()
    with pytest.raises(ValueError, match="non-negative"):
        shared.peek(timeout=-1)
    shared.shutdown()
    with pytest.raises(ShutDown):
        with shared.claim():
            pass
    with pytest.raises(ShutDown):
        peek()


def test_shut_down_between_claim_and_commit(shared: SharedRingBuffer) -> None:
    """Either it was appended, and comes out, or the block says that it was not."""
    try:
        with shared.claim(4) as view:
            view[:] = b"late"
            shared.shutdown()
        appended = [b"late"]
    except ShutDown:
        appended = []
    assert list(shared) == appended


@pytest.mark.parametrize("strategy", [name for name in MANY_SHARED if name not in SAY_BUSY])
def test_a_claim_concerns_the_thread_that_has_it(name: str, strategy: str) -> None:
    with SharedRingBuffer(name, 2, 8, strategy=strategy, create=True) as ring:
        claim = ring.claim(5)
        with claim as view:
            with pytest.raises(Empty):
                ring.get_nowait()
            with pytest.raises(RuntimeError):
                ring.put(b"mine")
            assert Worker(lambda: ring.put_many([b"1", b"2"], block=False)).result() == 2
            view[:] = b"first"
            del view
            with pytest.raises(Full):
                claim.commit()
            assert ring.get() == b"1"
            with pytest.raises(RuntimeError, match="another thread"):
                Worker(claim.commit).result()
        assert ring.get_many(3) == [b"2", b"first"]


@pytest.mark.parametrize("strategy", SAY_BUSY)
def test_others_see_that_a_claim_is_halfway(name: str, strategy: str) -> None:
    with SharedRingBuffer(name, 4, 8, strategy=strategy, create=True) as ring:
        with ring.claim(5) as view:
            ring.put(b"behind")
            with pytest.raises(Busy):
                ring.get_nowait()
            view[:] = b"first"
        assert ring.get_many(3) == [b"first", b"behind"]


def test_arguments(shared: SharedRingBuffer, name: str) -> None:
    with pytest.raises(ValueError, match="33 bytes.*at most 32"):
        shared.claim(33)
    with pytest.raises((OverflowError, ValueError)):
        shared.claim(-1)
    with SharedRingBuffer(name + "o", 4, 64, objects=True) as objects:
        objects.unlink()
        for call in (objects.claim, objects.peek, lambda: objects.get_into(bytearray(64))):
            with pytest.raises(TypeError, match="pickled objects"):
                call()


# Into a buffer


@pytest.mark.parametrize("kind", [bytearray, lambda n: memoryview(bytearray(n)), lambda n: np.zeros(n, "u1")])
def test_get_into_a_buffer(shared: SharedRingBuffer, kind: object) -> None:
    room = kind(32)  # type: ignore[operator]
    for item in (b"hello", b"", bytes(range(32))):
        shared.put(item)
        assert shared.get_into(room) == len(item)
        assert bytes(room)[: len(item)] == item


def test_get_into_says_what_is_wrong(shared: SharedRingBuffer) -> None:
    shared.put(b"12345")
    with pytest.raises(ValueError, match="has 5 bytes, the buffer 4.*stays"):
        shared.get_into(bytearray(4))
    with pytest.raises((BufferError, TypeError)):
        shared.get_into(b"read only")
    assert shared.get_into(bytearray(5)) == 5
    with pytest.raises(Empty):
        shared.get_into(bytearray(5), block=False)
    with pytest.raises(Empty):
        shared.get_into(bytearray(5), timeout=0.01)
    waits = shared.stats()["waits"]
    room = bytearray(8)
    getter = Worker(shared.get_into, room)
    shared.release_thread()
    asleep(shared, waits + 1) if shared.strategy != "spsc" else None
    shared.put(b"waited")
    assert (getter.result(), bytes(room[:6])) == (6, b"waited")


# Killed meanwhile


KILLED = """
import sys, turtle_buffers
ring = turtle_buffers.SharedRingBuffer(sys.argv[1], create=False)
with ring.peek() as view:
    print("holds", bytes(view).decode(), flush=True)
    sys.stdin.read()
"""


def test_a_reader_killed_with_a_slot_in_its_hand(name: str, shared_strategy: str) -> None:
    """What it held is gone with it; what comes after is not."""
    with SharedRingBuffer(name, 4, 16, strategy=shared_strategy, create=True) as ring:
        ring.put_many([b"one", b"two"])
        child = subprocess.Popen(
            [sys.executable, "-c", KILLED, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None and child.stdin is not None
        assert Worker(child.stdout.readline).result() == "holds one\n"
        os.kill(child.pid, signal.SIGKILL)
        child.wait(PATIENCE)
        child.stdin.close()
        child.stdout.close()
        until = time.monotonic() + PATIENCE
        got = ring.get(timeout=PATIENCE)
        assert time.monotonic() < until
        # On "spsc" the slot was never given back: the next reader finds it again.
        assert got in ((b"one", b"two") if shared_strategy == "spsc" else (b"two",))
