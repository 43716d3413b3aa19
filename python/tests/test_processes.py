"""SharedRingBuffer between processes, however they came to be."""

import ctypes
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from helpers import EACH, MANY, PATIENCE, SHARED, Worker, asleep, double, eventually, produce
from turtle_buffers import Busy, Empty, Full, SharedRingBuffer


@pytest.fixture(params=["spawn", "forkserver", "fork"])
def context(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Each start method."""
    if request.param not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no start method {request.param} here")
    yield multiprocessing.get_context(request.param)


def finish(processes: list[Any]) -> None:
    """Join them; each must have ended well."""
    for process in processes:
        process.join(PATIENCE)
    assert [process.exitcode for process in processes] == [0] * len(processes)


# Fork in a process with threads is what the test is about; later Pythons warn of it.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@forks
def test_there_and_back(context: Any, name: str, shared_strategy: str) -> None:
    with (
        SharedRingBuffer(name, 16, 32, strategy=shared_strategy, create=True) as there,
        SharedRingBuffer(name + "b", 16, 64, strategy=shared_strategy, create=True) as back,
    ):
        back_name_is_free = back.unlink
        try:
            # Used before the process starts: what it did here must not follow it there.
            there.put(b"warm")
            assert there.get() == b"warm"
            there.release_thread()
            child = context.Process(target=double, args=(there, back))
            child.start()
            got = []
            for n in range(EACH):
                there.put(b"%d" % n)
                if n % 8 == 7:
                    got += [back.get() for _ in range(8)]
            there.shutdown()
            got += list(back)
            assert got == [b"%d%d" % (n, n) for n in range(EACH)]
            finish([child])
        finally:
            back_name_is_free()


@forks
@pytest.mark.parametrize("strategy", [name for name in MANY if name in SHARED])
def test_many_producers(context: Any, name: str, strategy: str) -> None:
    with SharedRingBuffer(name, 16, 32, strategy=strategy, create=True) as ring:
        producers = [context.Process(target=produce, args=(ring, number)) for number in range(3)]
        for producer in producers:
            producer.start()
        last = [-1, -1, -1]
        for _ in range(3 * EACH):
            number, n = map(int, ring.get(timeout=PATIENCE).split())
            assert n == last[number] + 1, "one producer's items came out of order"
            last[number] = n
        assert last == [EACH - 1] * 3 and ring.empty()
        finish(producers)


@forks
def test_a_forked_child_uses_the_same_object(name: str, shared_strategy: str) -> None:
    with SharedRingBuffer(name, 4, 32, strategy=shared_strategy, create=True) as ring:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                ring.put_many([b"from", b"the", b"child"])
                code = 0
            finally:
                os._exit(code)
        assert [ring.get(timeout=PATIENCE) for _ in range(3)] == [b"from", b"the", b"child"]
        assert os.waitpid(child, 0)[1] == 0


CHILD = """
import sys, turtle_buffers
ring = turtle_buffers.SharedRingBuffer(sys.argv[1], create=False)
for line in sys.stdin.buffer:
    ring.put(line)
ring.shutdown()
"""


def test_an_unrelated_process_attaches_by_name(name: str, shared_strategy: str) -> None:
    with SharedRingBuffer(name, 4, 64, strategy=shared_strategy, create=True) as ring:
        lines = [b"line %d\n" % n for n in range(500)]
        child = subprocess.Popen([sys.executable, "-c", CHILD, name], stdin=subprocess.PIPE)
        assert child.stdin is not None
        with child.stdin as pipe:
            pipe.writelines(lines)
        assert list(ring) == lines
        assert child.wait(PATIENCE) == 0


KILLED = """
import os, signal, sys, turtle_buffers
ring = turtle_buffers.SharedRingBuffer(sys.argv[1], create=False)
for n in range(int(sys.argv[2]), 10**9):
    ring.put(b"%d" % n)
"""


def test_a_waiting_producer_may_be_killed(name: str, shared_strategy: str) -> None:
    """It owned its side and slept on a full ring; another one goes on where it was."""
    with SharedRingBuffer(name, 8, 64, strategy=shared_strategy, create=True) as ring:
        sent = 0
        for _ in range(3):
            child = subprocess.Popen([sys.executable, "-c", KILLED, name, str(sent)])
            eventually(ring.full, "the ring is full")
            state = Path(f"/proc/{child.pid}/stat")
            if state.exists():
                eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "S", "it sleeps")
            child.send_signal(signal.SIGKILL)
            assert child.wait(PATIENCE) == -signal.SIGKILL
            got = [int(item) for item in ring.get_many(8)]
            assert got == list(range(sent, sent + 8))
            sent += 8


TAKER = """
import sys, turtle_buffers
ring = turtle_buffers.SharedRingBuffer(sys.argv[1], create=False)
print("begins", flush=True)
ring.get()
"""


def test_a_waiting_consumer_may_be_killed(name: str, shared_strategy: str) -> None:
    """It owned its side and slept on an empty ring; no item goes with it."""
    with SharedRingBuffer(name, 8, 64, strategy=shared_strategy, create=True) as ring:
        for n in range(3):
            child = subprocess.Popen([sys.executable, "-c", TAKER, name], stdout=subprocess.PIPE)
            assert child.stdout is not None
            assert Worker(child.stdout.readline).result() == b"begins\n"
            state = Path(f"/proc/{child.pid}/stat")
            if state.exists():
                eventually(lambda: state.read_text().rpartition(")")[2].split()[0] == "S", "it sleeps")
            child.kill()
            assert child.wait(PATIENCE) == -signal.SIGKILL
            child.stdout.close()
            ring.put(b"%d" % n)
            assert ring.get(timeout=PATIENCE) == b"%d" % n


class COptions(ctypes.Structure):
    """`turtle_options` of turtle.h, as far as this test needs it; a shorter struct is allowed."""

    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("strategy", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("durability", ctypes.c_uint32),
        ("max_threads", ctypes.c_uint32),
        ("capacity", ctypes.c_size_t),
        ("elem_size", ctypes.c_size_t),
        ("elem_align", ctypes.c_size_t),
        ("path", ctypes.c_char_p),
    )


@pytest.fixture
def c_library() -> ctypes.CDLL:
    """The C library of the same build."""
    path = Path(os.environ.get("TURTLE_TARGET", "")) / "release" / "libturtle.so"
    if not path.is_absolute() or not path.exists():
        pytest.skip("libturtle.so has not been built, or TURTLE_TARGET does not say where")
    return ctypes.CDLL(str(path))


def c_open(c: ctypes.CDLL, name: str) -> ctypes.c_void_p:
    """A new turn ring of 4 elements of 8 bytes."""
    options = COptions(ctypes.sizeof(COptions), 0, 1, 0, 0, 4, 8, 0, name.encode())
    ring = ctypes.c_void_p()
    assert c.turtle_open(ctypes.byref(options), ctypes.byref(ring)) == 0
    return ring


def test_a_ring_that_a_c_program_made(c_library: ctypes.CDLL, name: str) -> None:
    """Without records each item is exactly as long as an element."""
    c, ring = c_library, c_open(c_library, name)
    try:
        number = ctypes.c_uint64(0x1122334455667788)
        assert c.turtle_try_push(ring, ctypes.byref(number)) == 0
        with SharedRingBuffer(name, create=False) as here:
            assert (here.capacity, here.item_size) == (4, 8)
            assert int.from_bytes(here.get(), sys.byteorder) == number.value
            here.put((77).to_bytes(8, sys.byteorder))
            assert here.put_many([bytes(8)] * 5, block=False) == 3
            assert len(here.get_many(2)) == 2
            for wrong in (b"", b"short", b"much too long"):
                with pytest.raises(ValueError, match="exactly 8"):
                    here.put(wrong)
            copied = pickle.loads(pickle.dumps(here))
            assert (copied.item_size, len(copied)) == (8, 2)
            getter = Worker(lambda: [copied.get() for _ in range(3)])
            asleep(copied)
            here.put(b"the last")
            assert getter.result() == [bytes(8), bytes(8), b"the last"]
            here.shutdown()
        assert c.turtle_try_push(ring, ctypes.byref(number)) == 4, "closed"
    finally:
        c.turtle_free(ring)


def test_a_call_that_stays_halfway_makes_others_busy(c_library: ctypes.CDLL, name: str) -> None:
    """A slot that is claimed and not committed: `_nowait` says Busy, waiting calls wait."""
    c, ring = c_library, c_open(c_library, name)
    slot = ctypes.c_void_p()
    try:
        with SharedRingBuffer(name, create=False) as here:
            assert c.turtle_claim(ring, ctypes.byref(slot)) == 0
            for call in (here.get_nowait, lambda: here.get(timeout=0), lambda: here.get_many(2, False)):
                with pytest.raises(Busy):
                    call()
            with pytest.raises(Empty) as raised:
                here.get(timeout=0.06)
            assert type(raised.value) is Empty, "the time was up"
            getter = Worker(here.get)
            asleep(here, here.stats()["waits"] + 1)
            ctypes.memmove(slot, b"finished", 8)
            assert c.turtle_commit(ring, slot) == 0
            assert getter.result() == b"finished"

            assert here.put_many([bytes(8)] * 4) == 4
            assert c.turtle_peek(ring, ctypes.byref(slot)) == 0
            with pytest.raises(Busy) as raised_busy:
                here.put_nowait(bytes(8))
            assert isinstance(raised_busy.value, Full), "code that catches Full tries again later"
            assert c.turtle_release(ring, slot) == 0
            here.put_nowait(bytes(8))
    finally:
        c.turtle_free(ring)
