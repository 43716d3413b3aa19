"""References over many operations, the cycle collector, the interpreter's end, what importing costs."""

import gc
import os
import random
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import pytest

import turtle_buffers
from helpers import MANY, Worker
from turtle_buffers import Empty, Full, RingBuffer, SharedRingBuffer, ShutDown

# TURTLE_OPERATIONS=10000000 for the whole of it: a minute.
OPERATIONS = int(os.environ.get("TURTLE_OPERATIONS", "2000000"))


class Counted:
    """Knows how many of it there are."""

    __slots__ = ("__weakref__", "number")
    alive = 0
    lock = threading.Lock()

    def __init__(self, number: int) -> None:
        self.number = number
        with Counted.lock:
            Counted.alive += 1

    def __del__(self) -> None:
        with Counted.lock:
            Counted.alive -= 1


def breaks(number: int) -> Any:
    """An iterable that fails after two items."""
    yield Counted(number)
    yield Counted(number)
    raise KeyError(number)


def mixed(ring: RingBuffer[Counted], operations: int, seed: int) -> int:
    """Every call, those that fail included, at random; answers how many items were put."""
    chance = random.Random(seed)
    put = done = 0
    while done < operations:
        call = chance.randrange(12)
        done += 1
        try:
            if call < 3:
                ring.put_nowait(Counted(done))
                put += 1
            elif call < 5:
                assert ring.get_nowait().number > 0
            elif call == 5:
                put += ring.put_many([Counted(done) for _ in range(chance.randrange(9))], block=False)
            elif call == 6:
                assert all(item.number > 0 for item in ring.get_many(chance.randrange(9), block=False))
            elif call == 7:
                ring.put(Counted(done), timeout=1e-6)
                put += 1
            elif call == 8:
                ring.get(timeout=1e-6)
            elif call == 9:
                ring.put_many(breaks(done))
            elif call == 10:
                ring.put(Counted(done), timeout=-1)
            else:
                with ring.claim():  # type: ignore[attr-defined]
                    pass
        except (Full, Empty, KeyError, ValueError, AttributeError):
            pass
    return put


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("strategy", MANY)
def test_no_reference_is_lost_or_dropped_early(strategy: str, threads: int) -> None:
    gc.collect()
    before = Counted.alive
    none = sys.getrefcount(None)
    ring: RingBuffer[Counted] = RingBuffer(16, strategy=strategy)
    workers = [Worker(mixed, ring, OPERATIONS // threads // 2, seed) for seed in range(threads)]
    for worker in workers:
        worker.join()
    put = sum(worker.result() for worker in workers)
    gc.collect()
    assert Counted.alive - before == len(ring) <= 16
    stats = ring.stats()
    assert stats["pushed"] == put and stats["popped"] == put - len(ring)
    for item in ring.get_many(16):
        assert sys.getrefcount(item) <= 4, "one here, one in the list, one for the call"
    item = None
    del item
    ring.shutdown()
    assert list(ring) == []
    gc.collect()
    assert Counted.alive == before
    assert abs(sys.getrefcount(None) - none) < 1000


def test_shared_calls_leak_nothing(name: str) -> None:
    """Blocks of memory that the interpreter has, over many rounds of every call."""
    with SharedRingBuffer(name, 8, 64, create=True) as ring:

        def round_of_calls() -> None:
            for _ in range(200):
                ring.put_many([b"a" * 40, bytearray(3)])
                with ring.claim(3) as view:
                    view[:] = b"abc"
                with ring.peek() as view:
                    bytes(view)
                ring.get_into(bytearray(64))
                try:
                    with ring.claim():
                        raise KeyError
                except KeyError:
                    pass
                for wrong in (lambda: ring.put("x"), lambda: ring.put(b"x" * 65), lambda: ring.claim(65)):  # type: ignore[arg-type]
                    with pytest.raises((TypeError, ValueError)):
                        wrong()
                ring.get_many(9)
                with pytest.raises(Empty):
                    ring.get_nowait()

        round_of_calls()
        gc.collect()
        blocks = sys.getallocatedblocks()
        for _ in range(max(3, OPERATIONS // 100_000)):
            round_of_calls()
        gc.collect()
        assert sys.getallocatedblocks() - blocks < 100


# The cycle collector. It visits the items of an object twice, and what it saw first must still be
# there the second time. A thread that waits in a ring moves items without the interpreter, so it
# does that between the two: an item that is alive would look dead. Hence the limit:


@pytest.mark.parametrize("strategy", turtle_buffers.strategies(), ids=lambda engine: engine["name"])
def test_a_ring_that_is_reachable_from_its_own_items(strategy: dict[str, Any]) -> None:
    """It is not collected, as documented; `shutdown(immediate=True)` lets go of it."""
    ring: RingBuffer[Any] = RingBuffer(4, strategy=strategy["name"])
    gone = weakref.ref(ring)
    ring.put([ring])
    del ring
    gc.collect()
    kept = gone()
    assert kept is not None, "it is collected: then say so in the docstring"
    kept.shutdown(immediate=True)
    del kept
    gc.collect()
    assert gone() is None


def test_cycles_that_only_pass_by_are_collected() -> None:
    """An item that refers to itself, not to the ring, is like any other once it was taken or the ring ended."""

    class Knot:
        def __init__(self) -> None:
            self.me = self

    ring: RingBuffer[Knot] = RingBuffer(4)
    knots = [Knot(), Knot()]
    gone = [weakref.ref(knot) for knot in knots]
    ring.put_many(knots)
    del knots
    gc.collect()
    assert all(knot() is not None for knot in gone)
    ring.get()
    gc.collect()
    assert [knot() is None for knot in gone] == [True, False]
    del ring
    gc.collect()
    assert gone[1]() is None


def test_the_interpreter_ends_with_everything_in_use(name: str) -> None:
    """Full rings, a claim and a peek that are open, daemon threads in each blocking call, a loop that waits."""
    script = """
import asyncio, sys, threading, turtle_buffers as t
name = sys.argv[1]
full, empty = t.RingBuffer(2), t.RingBuffer(2)
full.put_many([object(), [1]])
sfull, sempty = t.SharedRingBuffer(name, 1, 8), t.SharedRingBuffer(name + "b", 2, 8)
sfull.put(b"x")
objects = t.SharedRingBuffer(name + "c", 2, 64, objects=True)
for ring in (sfull, sempty, objects): ring.unlink()
def open_claim():
    with sempty.claim() as view: sfull.put(view)
def coroutine():
    asyncio.run(empty.aget())
calls = [empty.get, lambda: empty.get_many(3), lambda: list(empty), lambda: full.put(1), lambda: full.put_many([1] * 5),
         full.join, lambda: sfull.put(b"y"), open_claim, objects.get, coroutine]
for call in calls:
    threading.Thread(target=call, daemon=True).start()
while not (full.stats()["waits"] > 2 and empty.stats()["waits"] > 3 and sfull.stats()["waits"] > 1 and objects.stats()["waits"]):
    pass
peek = sfull.peek(); view = peek.__enter__()
print("ends", flush=True)
"""
    done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "ends\n", "")
    SharedRingBuffer(name, 1, 8)


# What it costs to have it


def test_importing_is_quick() -> None:
    """Less than 50 ms of processor time beyond the interpreter's own start; the least of some runs."""
    script = "import time; a = time.process_time(); import turtle_buffers; print(time.process_time() - a)"
    took = []
    for _ in range(7):
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
        took.append(float(done.stdout))
    print(f"import turtle_buffers: {min(took) * 1000:.1f} ms")
    assert min(took) < 0.050, took


def test_importing_takes_nothing_large_along() -> None:
    script = "import sys, turtle_buffers; print([m for m in ('asyncio', 'numpy', 'multiprocessing', 'pickle') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_module_is_small() -> None:
    """The wheel must stay below 3 MB; compressed it is less than this."""
    folder = Path(turtle_buffers.__file__).parent
    size = sum(file.stat().st_size for file in folder.rglob("*") if "__pycache__" not in file.parts)
    print(f"installed: {size / 1e6:.2f} MB")
    assert size < 3_000_000, size
