"""Coroutines: `aput`, `aget`, `async for`. No thread, several loops, and cancellation loses nothing."""

import asyncio
import os
import random
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from helpers import MANY, PATIENCE, Worker, eventually
from turtle_buffers import Empty, Interrupted, RingBuffer, SharedRingBuffer, ShutDown, aio


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """Run `work` on a loop of its own; a hang is a failure."""

    async def whole() -> Any:
        return await asyncio.wait_for(work(), PATIENCE)

    return asyncio.run(whole())


async def turns(count: int) -> None:
    """Let the loop go round."""
    for _ in range(count):
        await asyncio.sleep(0)


async def in_line(ring: Any, items: int = 0, room: int = 0) -> None:
    """Wait until that many coroutines wait (in all loops)."""

    def waiting(lines: dict[Any, Any]) -> int:
        return sum(len(line._waiting) for line in list(lines.values()))

    def are() -> bool:
        awaited = ring._awaited
        return awaited is not None and (waiting(awaited._items), waiting(awaited._room)) == (items, room)

    while not are():
        await asyncio.sleep(0.001)


@pytest.fixture
def no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that goes on did so because it looked again by the clock."""
    monkeypatch.setattr(aio, "FIRST_LOOK", 10 * PATIENCE)
    monkeypatch.setattr(aio, "LAST_LOOK", 10 * PATIENCE)


# Items from here to there


@pytest.mark.usefixtures("no_timer")
def test_one_loop_both_sides(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(3, strategy=strategy)

    async def work() -> list[int]:
        async def produce() -> None:
            for n in range(500):
                await ring.aput(n)
            ring.shutdown()

        producer = asyncio.create_task(produce())
        got = [item async for item in ring]
        await producer
        return got

    assert run(work) == list(range(500))


@pytest.mark.usefixtures("no_timer")
def test_batches(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(7, strategy=strategy)

    async def work() -> list[int]:
        producer = asyncio.create_task(ring.aput_many(range(1000)))
        got: list[int] = []
        while len(got) < 1000:
            batch = await ring.aget_many(5)
            assert 1 <= len(batch) <= 5
            got += batch
        assert await producer == 1000
        assert await ring.aput_many(n for n in range(3)) == 3
        assert await ring.aput_many([]) == 0
        assert await ring.aget_many(10) == [0, 1, 2]
        return got

    assert run(work) == list(range(1000))


def test_threads_at_the_other_end(strategy: str) -> None:
    """One thread puts, another gets; the loop stands between them."""
    there: RingBuffer[int] = RingBuffer(4, strategy=strategy)
    back: RingBuffer[int] = RingBuffer(4, strategy=strategy)

    async def work() -> None:
        async for n in there:
            await back.aput(n + 1)
        back.shutdown()

    def produce() -> None:
        for n in range(300):
            there.put(n)
        there.shutdown()

    producer, consumer = Worker(produce), Worker(list, back)
    run(work)
    producer.result()
    assert consumer.result() == [n + 1 for n in range(300)]


def test_the_oldest_is_first() -> None:
    ring: RingBuffer[int] = RingBuffer(8)

    async def work() -> list[int]:
        getters = []
        for n in range(8):
            getters.append(asyncio.create_task(ring.aget()))
            await in_line(ring, items=n + 1)
        ring.put_many(range(8))
        return [await getter for getter in getters]

    assert run(work) == list(range(8))


CHILD = """
import asyncio, os, sys, turtle_buffers
there, back = (turtle_buffers.SharedRingBuffer(name, create=False) for name in sys.argv[1:])

async def main():
    async for item in there:
        await back.aput(item * 2)
    back.shutdown()

asyncio.run(main())
threads = os.listdir("/proc/self/task")
assert len(threads) == 1, threads
"""


def test_between_processes_without_a_thread(name: str, shared_strategy: str) -> None:
    items = [b"%d" % n for n in range(400)]
    with (
        SharedRingBuffer(name, 4, 16, strategy=shared_strategy, create=True) as there,
        SharedRingBuffer(name + "b", 4, 16, strategy=shared_strategy, create=True) as back,
    ):
        try:
            child = subprocess.Popen([sys.executable, "-c", CHILD, there.name, back.name])

            async def work() -> list[bytes]:
                async def produce() -> None:
                    assert await there.aput_many(items) == len(items)
                    there.shutdown()

                before = os.listdir("/proc/self/task")
                producer = asyncio.create_task(produce())
                got = [item async for item in back]
                await producer
                assert os.listdir("/proc/self/task") == before
                return got

            assert run(work) == [item * 2 for item in items]
            assert child.wait(PATIENCE) == 0
        finally:
            back.unlink()


# Several loops


@pytest.mark.parametrize("strategy", MANY)
def test_several_loops_share_one_ring(strategy: str) -> None:
    """Three loops with three coroutines each take everything once, while a fourth one puts."""
    ring: RingBuffer[int] = RingBuffer(5, strategy=strategy)
    count = 3000

    async def consume() -> list[int]:
        async def one() -> list[int]:
            return [item async for item in ring]

        return sum(await asyncio.gather(one(), one(), one()), [])

    async def produce() -> None:
        halves = range(0, count, 2), range(1, count, 2)
        await asyncio.gather(*(ring.aput_many(half) for half in halves))
        ring.shutdown()

    consumers = [Worker(run, consume) for _ in range(3)]
    run(produce)
    taken = [consumer.result() for consumer in consumers]
    assert sorted(sum(taken, [])) == list(range(count))


@pytest.mark.usefixtures("no_timer")
@pytest.mark.parametrize(
    ("end", "error"),
    [("interrupt", Interrupted), ("shutdown", ShutDown), ("close", ValueError)],
)
def test_the_end_reaches_every_loop(name: str, end: str, error: type[Exception]) -> None:
    """Whatever the other loops do to the one descriptor. Those who wait for room are told, too."""
    for _ in range(20):
        empty = SharedRingBuffer(name, 2, 8, create=True)
        full = SharedRingBuffer(name + "b", 1, 8, create=True)
        full.put(b"full")
        empty.unlink()
        full.unlink()

        async def wait() -> list[Any]:
            calls = empty.aget(), empty.aget(), full.aput(b"x"), full.aput(b"y")  # noqa: B023
            return await asyncio.gather(*calls, return_exceptions=True)

        workers = [Worker(run, wait) for _ in range(3)]
        asyncio.run(asyncio.wait_for(in_line(empty, items=6), PATIENCE))
        asyncio.run(asyncio.wait_for(in_line(full, room=6), PATIENCE))
        getattr(empty, end)()
        getattr(full, end)()
        for worker in workers:
            assert [type(answer) for answer in worker.result()] == [error] * 4


@pytest.mark.usefixtures("no_timer")
def test_room_for_several_is_passed_on(strategy: str) -> None:
    """One call makes room for three, and tells the oldest: each tells the next."""
    ring: RingBuffer[int] = RingBuffer(3, strategy=strategy)

    async def work() -> None:
        ring.put_many(range(3))
        putters = [asyncio.create_task(ring.aput(n)) for n in range(3, 7)]
        await in_line(ring, room=4)
        assert await ring.aget_many(3) == [0, 1, 2]
        await asyncio.gather(*putters[:3])
        await in_line(ring, room=1)
        putters[3].cancel()
        assert ring.get_many(9) == [3, 4, 5]

    run(work)


@pytest.mark.usefixtures("no_timer")
@pytest.mark.parametrize(("end", "error"), [("interrupt", Interrupted), ("shutdown", ShutDown)])
def test_the_end_reaches_all_of_a_loop(strategy: str, end: str, error: type[Exception]) -> None:
    """A private ring has no timer that would tell the second one."""
    ring: RingBuffer[int] = RingBuffer(1, strategy=strategy)

    async def work() -> list[Any]:
        getters = [asyncio.create_task(ring.aget()) for _ in range(3)]
        await in_line(ring, items=3)
        getattr(ring, end)()
        return await asyncio.gather(*getters, return_exceptions=True)

    assert [type(answer) for answer in run(work)] == [error] * 3


# Ends


def test_shutdown_drains_first(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(4, strategy=strategy)

    async def work() -> None:
        ring.put_many([1, 2])
        ring.shutdown()
        with pytest.raises(ShutDown):
            await ring.aput(3)
        with pytest.raises(ShutDown):
            await ring.aput_many([3])
        assert [await ring.aget(), await ring.aget()] == [1, 2]
        for call in (ring.aget, lambda: ring.aget_many(2)):
            with pytest.raises(ShutDown):
                await call()
        assert [item async for item in ring] == []

    run(work)


def test_a_batch_that_is_cut_short_says_how_many() -> None:
    ring: RingBuffer[int] = RingBuffer(3)

    async def work() -> int:
        putter = asyncio.create_task(ring.aput_many(range(10)))
        await in_line(ring, room=1)
        ring.shutdown()
        return await putter

    assert run(work) == 3
    assert list(ring) == [0, 1, 2]


def test_shutdown_by_another_process_is_heard(name: str) -> None:
    with SharedRingBuffer(name, 1, 8, create=True) as ring, SharedRingBuffer(name) as other:
        ring.put(b"full")

        async def work() -> None:
            putter = asyncio.create_task(ring.aput(b"x"))
            await in_line(ring, room=1)
            other.shutdown()
            with pytest.raises(ShutDown):
                await putter
            assert [item async for item in ring] == [b"full"]

        run(work)


def test_what_is_no_item_raises_in_the_coroutine(name: str) -> None:
    with SharedRingBuffer(name, 1, 8, create=True) as ring:

        async def work() -> None:
            with pytest.raises(ValueError, match="9 bytes"):
                await ring.aput(b"x" * 9)
            with pytest.raises(TypeError):
                await ring.aput("text")  # type: ignore[arg-type]

        run(work)


# Cancellation


@pytest.mark.parametrize("late", range(6))
def test_a_cancelled_aget_takes_nothing(strategy: str, late: int) -> None:
    """Cancelled 0 to 5 turns of the loop after the item came: it is in the answer, or still there."""
    ring: RingBuffer[int] = RingBuffer(4, strategy=strategy)

    async def work() -> bool:
        getter = asyncio.create_task(ring.aget())
        await in_line(ring, items=1)
        ring.put(7)
        await turns(late)
        getter.cancel()
        try:
            assert await getter == 7
            return True
        except asyncio.CancelledError:
            assert await ring.aget() == 7
            return False
        finally:
            assert ring.empty()

    answered = run(work)
    if late == 0:
        assert not answered


@pytest.mark.usefixtures("no_timer")
@pytest.mark.parametrize("late", range(6))
def test_a_cancelled_aput_puts_nothing(strategy: str, late: int) -> None:
    ring: RingBuffer[int] = RingBuffer(1, strategy=strategy)

    async def work() -> bool:
        ring.put(1)
        putter = asyncio.create_task(ring.aput(2))
        await in_line(ring, room=1)
        assert await ring.aget() == 1
        await turns(late)
        putter.cancel()
        try:
            await putter
            assert ring.get_nowait() == 2
            return True
        except asyncio.CancelledError:
            with pytest.raises(Empty):
                ring.get_nowait()
            return False

    answered = run(work)
    if late == 0:
        assert not answered
    if late == 5:
        assert answered, "it was told that there is room"


def test_who_is_cancelled_after_being_woken_holds_nobody_up() -> None:
    ring: RingBuffer[int] = RingBuffer(4)

    async def work() -> list[int]:
        for late in range(6):
            first, second = (asyncio.create_task(ring.aget()) for _ in range(2))
            await in_line(ring, items=2)
            ring.put(late)
            await turns(late)
            first.cancel()
            answers = await asyncio.gather(first, return_exceptions=True)
            if answers == [late]:
                ring.put(late)
            assert await second == late
        return [len(ring)]

    assert run(work) == [0]


def test_timeouts_lose_nothing(strategy: str) -> None:
    """A consumer that gives up all the time, against a thread that puts at any moment."""
    ring: RingBuffer[int] = RingBuffer(4, strategy=strategy)
    count = 2000
    chance = random.Random(5)

    def produce() -> None:
        for n in range(count):
            ring.put(n)
        ring.shutdown()

    async def work() -> tuple[list[int], int]:
        got, gave_up = [], 0
        while True:
            try:
                async with asyncio.timeout(chance.choice([0, 0.00005, 0.0005])):
                    got.append(await ring.aget())
            except TimeoutError:
                gave_up += 1
                await asyncio.sleep(0)
            except ShutDown:
                return got, gave_up

    producer = Worker(produce)
    got, _ = run(work)
    producer.result()
    assert got == list(range(count))


# What it leaves behind


def test_nothing_is_left_open(name: str) -> None:
    with SharedRingBuffer(name, 4, 16, create=True) as ring:
        ring.fileno()
        ring.put(b"x")  # what a thread keeps where there is a record of each, it keeps from now on
        assert ring.get() == b"x"
        before = len(os.listdir("/proc/self/fd"))

        async def work() -> None:
            for _ in range(5):
                getter = asyncio.create_task(ring.aget())
                await in_line(ring, items=1)
                ring.put(b"x")
                assert await getter == b"x"
            idle = asyncio.create_task(ring.aget())
            await in_line(ring, items=1)
            idle.cancel()

        run(work)
        assert (ring._awaited._items, ring._awaited._room) == ({}, {})
        assert len(os.listdir("/proc/self/fd")) == before


def test_readers_of_ones_own_are_left_alone() -> None:
    """A loop takes one reader for a descriptor; `aget` must not replace one for the ring itself."""
    ring: RingBuffer[int] = RingBuffer(4)

    async def work() -> None:
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(ring, heard.set)
        getter = asyncio.create_task(ring.aget())
        await in_line(ring, items=1)
        heard.clear()
        ring.put(1)
        assert await getter == 1
        await heard.wait()
        assert loop.remove_reader(ring)

    run(work)


def test_a_loop_that_goes_away_is_forgotten() -> None:
    """Closed without ending its tasks: rude, and no reason for others to fail."""
    ring: RingBuffer[int] = RingBuffer(1)
    loop = asyncio.new_event_loop()

    async def wait() -> None:
        await ring.aget()

    task = loop.create_task(wait())
    loop.run_until_complete(in_line(ring, items=1))
    loop.close()
    ring.interrupt()
    assert ring._awaited._items == {}
    ring.put(1)
    assert run(ring.aget) == 1
    task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_rings_end_with_their_last_name() -> None:
    """No loop, line or watch keeps a ring."""
    import weakref

    item = threading.Event()  # anything that takes a weak reference
    gone = weakref.ref(item)
    ring: RingBuffer[Any] = RingBuffer(2)

    async def work() -> None:
        getter = asyncio.create_task(ring.aget())
        await in_line(ring, items=1)
        ring.put(0)
        await getter

    run(work)
    ring.put(item)
    del item, ring
    eventually(lambda: gone() is None, "the ring is gone")
