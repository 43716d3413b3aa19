"""Event loops: a ring is what `loop.add_reader` and `select` take, and nobody makes a thread for it."""

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from helpers import PATIENCE, Worker, eventually
from turtle_buffers import Empty, RingBuffer, SharedRingBuffer, ShutDown


async def take(ring: Any, count: int, one_at_a_time: bool = False) -> list[Any]:
    """Take `count` items, or all until the ring is shut down, as a coroutine that waits by `add_reader`."""
    loop, got = asyncio.get_running_loop(), []
    done = loop.create_future()

    def on_readable() -> None:
        if done.done():
            return
        try:
            while len(got) < count:
                got.append(ring.get_nowait())
                if one_at_a_time:
                    return  # the rest is there the next time round
            done.set_result(None)
        except Empty:
            pass
        except ShutDown:
            done.set_result(None)

    loop.add_reader(ring, on_readable)
    try:
        await asyncio.wait_for(done, PATIENCE)
    finally:
        loop.remove_reader(ring)
    return got


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def whole() -> Any:
        return await work()

    return asyncio.run(whole())


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_items_of_threads(strategy: str, one_at_a_time: bool) -> None:
    ring: RingBuffer[int] = RingBuffer(4, strategy=strategy)
    putter = Worker(ring.put_many, range(500))
    assert run(lambda: take(ring, 500, one_at_a_time)) == list(range(500))
    assert putter.result() == 500


PRODUCER = """
import sys, turtle_buffers
ring = turtle_buffers.SharedRingBuffer(sys.argv[1], create=False)
for line in sys.stdin.buffer:
    ring.put(line.strip())
ring.shutdown()
"""


@pytest.mark.parametrize("one_at_a_time", [False, True])
def test_items_of_another_process(
    name: str, shared_strategy: str, one_at_a_time: bool
) -> None:
    with SharedRingBuffer(name, 8, 32, strategy=shared_strategy, create=True) as ring:
        child = subprocess.Popen([sys.executable, "-c", PRODUCER, name], stdin=subprocess.PIPE)
        assert child.stdin is not None
        items = [b"item %d" % n for n in range(500)]
        with child.stdin as pipe:
            pipe.write(b"\n".join(items) + b"\n")
        assert run(lambda: take(ring, 10**9, one_at_a_time)) == items
        assert child.wait(PATIENCE) == 0
        assert select.select([ring], [], [], 0)[0] == [ring], "shut down: it stays readable"


def test_each_wake_up_comes_at_once_not_with_the_timer(name: str, shared_strategy: str) -> None:
    """There and back 100 times: were it left to the timer, each would take about 20 ms.

    The other process has one thread, and would say so if it were not so.
    """
    laps = 100
    with (
        SharedRingBuffer(name, 4, 32, strategy=shared_strategy, create=True) as there,
        SharedRingBuffer(name + "b", 4, 32, strategy=shared_strategy, create=True) as back,
    ):
        try:
            child = subprocess.Popen([sys.executable, "-c", ECHO, there.name, back.name])
            assert run(lambda: take(back, 1)) == [b"ready"]

            async def ping_pong() -> float:
                began = time.monotonic()
                for n in range(laps):
                    there.put_nowait(b"%d" % n)
                    assert await take(back, 1) == [b"%d" % n]
                return time.monotonic() - began

            took = run(ping_pong)
            there.shutdown()
            assert child.wait(PATIENCE) == 0
            assert took < laps * 0.01, took
        finally:
            back.unlink()


ECHO = """
import asyncio, os, sys, turtle_buffers
there, back = (turtle_buffers.SharedRingBuffer(name, create=False) for name in sys.argv[1:])

async def main():
    loop, end = asyncio.get_running_loop(), asyncio.Event()

    def on_readable():
        try:
            while True:
                back.put_nowait(there.get_nowait())
        except turtle_buffers.ShutDown:
            end.set()
        except turtle_buffers.Empty:
            pass

    loop.add_reader(there, on_readable)
    back.put_nowait(b"ready")
    await end.wait()
    loop.remove_reader(there)

asyncio.run(main())
threads = os.listdir("/proc/self/task")
assert len(threads) == 1, threads
"""


def test_a_killed_producer_leaves_the_loop_going(name: str, shared_strategy: str) -> None:
    with SharedRingBuffer(name, 8, 32, strategy=shared_strategy, create=True) as ring:
        for n in range(3):
            child = subprocess.Popen([sys.executable, "-c", PRODUCER, name], stdin=subprocess.PIPE)
            assert child.stdin is not None
            child.stdin.write(b"%d\n" % n)
            child.stdin.flush()
            assert run(lambda: take(ring, 1)) == [b"%d" % n]
            child.send_signal(signal.SIGKILL)
            assert child.wait(PATIENCE) == -signal.SIGKILL
            child.stdin.close()


def test_there_is_one_descriptor_and_it_goes_with_the_ring(name: str, shared_strategy: str) -> None:
    ring = SharedRingBuffer(name, 8, 32, strategy=shared_strategy, create=True)
    before = set(os.listdir("/proc/self/fd"))
    assert ring.fileno() == ring.fileno()
    assert set(os.listdir("/proc/self/fd")) > before
    ring.close()
    with pytest.raises(ValueError, match="closed"):
        ring.fileno()
    eventually(lambda: len(os.listdir("/proc/self/fd")) <= len(before), "the descriptors are closed")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_has_its_own(name: str, shared_strategy: str) -> None:
    with SharedRingBuffer(name, 8, 32, strategy=shared_strategy, create=True) as ring:
        number = ring.fileno()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                assert run(lambda: take(ring, 1)) == [b"for the child"]
                assert ring.fileno() == number
                code = 0
            finally:
                os._exit(code)
        ring.put(b"for the child")
        assert os.waitpid(child, 0)[1] == 0
        ring.put(b"mine")
        assert run(lambda: take(ring, 1)) == [b"mine"]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_of_a_private_ring_is_refused() -> None:
    ring: RingBuffer[int] = RingBuffer(1)
    ring.fileno()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            with pytest.raises(RuntimeError, match="forked"):
                ring.fileno()
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0


def test_what_lies_in_the_way_is_named(name: str) -> None:
    with SharedRingBuffer(name, 8, 32, create=True) as ring:
        place = Path("/dev/shm") / f".turtle-bell-{os.stat('/dev/shm' + name).st_ino:x}"
        place.write_bytes(b"")
        try:
            with pytest.raises(OSError, match="is not a FIFO"):
                ring.fileno()
        finally:
            place.unlink()
        ring.fileno()
        assert place.is_fifo()
    with SharedRingBuffer(name) as ring:
        ring.unlink()
    assert not place.exists()


def test_threads_that_ask_at_once_get_the_same(name: str) -> None:
    """Also where the name is gone, and each removes the FIFO that the other is about to open."""
    for _ in range(100):
        ring = SharedRingBuffer(name, 8, 32, create=True)
        ring.unlink()
        start = threading.Barrier(4)

        def ask() -> int:
            start.wait()  # noqa: B023
            return ring.fileno()  # noqa: B023

        assert len({worker.result() for worker in [Worker(ask) for _ in range(4)]}) == 1
        ring.close()
