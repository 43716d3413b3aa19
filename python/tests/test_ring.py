"""RingBuffer beyond `queue.Queue`: batches, shutting down, references, errors."""

import copy
import gc
import os
import pickle
import queue
import subprocess
import sys
import weakref
from collections.abc import Iterator

import pytest

import turtle_buffers
from helpers import MANY, Worker, asleep
from turtle_buffers import Busy, Empty, Full, Interrupted, RingBuffer, ShutDown, TurtleError


class Thing:
    """Something that can be weakly referenced."""


# Construction


@pytest.mark.parametrize("maxsize", [0, -1])
def test_there_is_no_unbounded_ring_yet(maxsize: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        RingBuffer(maxsize)


def test_unknown_strategy_names_the_known_ones() -> None:
    with pytest.raises(ValueError, match="turn"):
        RingBuffer(1, strategy="no such engine")


def test_impossible_size_is_an_error() -> None:
    with pytest.raises((ValueError, MemoryError)):
        RingBuffer(2**62)


def test_what_it_says_of_itself(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(5, strategy=strategy)
    ring.put(1)
    assert (ring.strategy, ring.maxsize, len(ring), ring.is_shutdown) == (strategy, 5, 1, False)
    assert repr(ring) == f'<RingBuffer strategy="{strategy}" maxsize=5 qsize=1>'
    ring.shutdown()
    assert ring.is_shutdown and repr(ring).endswith("shut down>")


def test_default_size() -> None:
    assert RingBuffer().maxsize == 1024


def test_a_subclass_may_add_things() -> None:
    class Named(RingBuffer[int]):
        label = "mine"

    ring = Named(2)
    ring.put(7)
    ring.note = "here"  # type: ignore[attr-defined]
    assert (ring.get(), ring.label, ring.note) == (7, "mine", "here")  # type: ignore[attr-defined]


# Batches


def test_batches_keep_the_order(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(7, strategy=strategy)
    put, got = 0, []
    while put < 1000:
        put += ring.put_many(range(put, min(put + 5, 1000)), block=False)
        got += ring.get_many(3)
    ring.shutdown()
    got += list(ring)
    assert got == list(range(1000))


def test_put_many_says_how_many_fit(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(3, strategy=strategy)
    assert ring.put_many(range(10), block=False) == 3
    with pytest.raises(Full):
        ring.put_many([10], block=False)
    with pytest.raises(Full):
        ring.put_many([10], timeout=0.01)
    assert ring.get() == 0
    assert ring.put_many([3, 4], timeout=0.01) == 1
    assert ring.get_many(10) == [1, 2, 3]


def test_put_many_waits_until_all_are_in(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(3, strategy=strategy)
    putter = Worker(ring.put_many, range(100))
    got: list[int] = []
    while len(got) < 100:
        batch = ring.get_many(2)
        assert 1 <= len(batch) <= 2
        got += batch
    assert got == list(range(100))
    assert putter.result() == 100


def test_put_many_that_is_cut_short_by_shutdown_says_how_many(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(3, strategy=strategy)
    putter = Worker(ring.put_many, range(100))
    asleep(ring)
    ring.shutdown()
    assert putter.result() == 3
    assert list(ring) == [0, 1, 2]
    with pytest.raises(ShutDown):
        ring.put_many([1])


def test_get_many_waits_for_one_and_takes_what_is_there(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(8, strategy=strategy)
    getter = Worker(ring.get_many, 5)
    asleep(ring)
    ring.put(1)
    assert getter.result() == [1]


def test_get_many_of_nothing(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(8, strategy=strategy)
    assert ring.get_many(0) == []
    assert ring.put_many([]) == 0
    with pytest.raises(Empty):
        ring.get_many(5, block=False)
    with pytest.raises(Empty):
        ring.get_many(5, timeout=0.01)
    with pytest.raises((OverflowError, ValueError)):
        ring.get_many(-1)
    ring.put(1)
    assert ring.get_many(10**12) == [1]


def test_put_many_takes_any_iterable() -> None:
    ring: RingBuffer[object] = RingBuffer(10)
    assert ring.put_many(n * n for n in range(3)) == 3
    assert ring.put_many({"a": 1}) == 1
    assert ring.get_many(10) == [0, 1, 4, "a"]
    with pytest.raises(TypeError):
        ring.put_many(5)  # type: ignore[arg-type]

    def breaks() -> Iterator[int]:
        yield 1
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        ring.put_many(breaks())
    assert ring.empty(), "the iterable is read before anything is put"


# The end


def test_iteration_ends_at_shutdown(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(4, strategy=strategy)
    reader = Worker(list, ring)
    for number in range(50):
        ring.put(number)
    ring.shutdown()
    assert reader.result() == list(range(50))


def test_with_block_shuts_down(strategy: str) -> None:
    with RingBuffer[int](4, strategy=strategy) as ring:
        ring.put(1)
    assert ring.is_shutdown
    assert list(ring) == [1]
    with pytest.raises(ShutDown):
        ring.put(2)


def test_immediate_shutdown(strategy: str) -> None:
    ring: RingBuffer[Thing] = RingBuffer(4, strategy=strategy)
    thing = Thing()
    gone = weakref.ref(thing)
    ring.put(thing)
    del thing
    ring.shutdown(immediate=True)
    assert gone() is None and ring.empty() and ring.unfinished_tasks == 0
    ring.join()
    with pytest.raises(ShutDown):
        ring.get()
    ring.shutdown(immediate=True)


def test_shutdown_wakes_all(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(1, strategy=strategy)
    workers = [Worker(ring.get) for _ in range(3 if strategy in MANY else 1)]
    asleep(ring, len(workers))
    ring.shutdown()
    for worker in workers:
        with pytest.raises(ShutDown):
            worker.result()


def test_interrupt_ends_waits_once(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(1, strategy=strategy)
    for _ in range(3):
        seen = ring.stats()["waits"]
        getter = Worker(ring.get)
        asleep(ring, seen + 1)
        ring.interrupt()
        with pytest.raises(Interrupted):
            getter.result()
    ring.put(1)
    seen = ring.stats()["waits"]
    putter = Worker(ring.put, 2)
    if strategy == "spsc":
        # This thread has put: the side is its own until it says otherwise.
        with pytest.raises(RuntimeError, match="release_thread"):
            putter.result()
        ring.release_thread()
        putter = Worker(ring.put, 2)
    asleep(ring, seen + 1)
    ring.interrupt()
    with pytest.raises(Interrupted):
        putter.result()
    assert ring.get() == 1
    assert ring.empty(), "an interrupted put has put nothing"


# References


def test_items_are_the_same_objects(strategy: str) -> None:
    ring: RingBuffer[Thing] = RingBuffer(4, strategy=strategy)
    things = [Thing(), Thing()]
    ring.put_many(things)
    assert ring.get() is things[0]
    assert ring.get_many(1)[0] is things[1]


def test_what_is_left_is_freed_with_the_ring(strategy: str) -> None:
    ring: RingBuffer[Thing] = RingBuffer(4, strategy=strategy)
    things = [Thing() for _ in range(3)]
    gone = [weakref.ref(thing) for thing in things]
    ring.put_many(things)
    ring.get()
    del things
    gc.collect()
    assert [ref() is None for ref in gone] == [True, False, False]
    del ring
    assert all(ref() is None for ref in gone)


def test_what_is_left_is_freed_when_another_thread_lets_go_last(strategy: str) -> None:
    thing = Thing()
    gone = weakref.ref(thing)
    ring: RingBuffer[object] = RingBuffer(4, strategy=strategy)
    ring.put(thing)
    del thing

    def hold(rings: list[object]) -> None:
        rings.clear()

    rings: list[object] = [ring]
    del ring
    Worker(hold, rings).result()
    assert gone() is None


def test_failed_calls_keep_the_count_of_references(strategy: str) -> None:
    ring: RingBuffer[object] = RingBuffer(2, strategy=strategy)
    thing = object()
    before = sys.getrefcount(thing)
    ring.put_many([thing, thing])
    assert sys.getrefcount(thing) == before + 2
    for refused in (
        lambda: ring.put_nowait(thing),
        lambda: ring.put(thing, timeout=0.001),
        lambda: ring.put_many([thing] * 3, block=False),
    ):
        with pytest.raises(Full):
            refused()
    assert sys.getrefcount(thing) == before + 2
    ring.get()
    assert ring.put_many([thing] * 3, timeout=0.001) == 1
    assert sys.getrefcount(thing) == before + 2
    ring.shutdown()
    with pytest.raises(ShutDown):
        ring.put(thing)
    with pytest.raises(ShutDown):
        ring.put_many([thing] * 3)
    assert len(ring.get_many(5)) == 2
    assert sys.getrefcount(thing) == before


def test_an_item_may_use_its_ring_while_it_is_dropped() -> None:
    ring: RingBuffer[object] = RingBuffer(4)

    class Nosy:
        def __del__(self) -> None:
            seen.append(ring.qsize())

    seen: list[int] = []
    ring.put(Nosy())
    ring.put(Nosy())
    ring.shutdown(immediate=True)
    assert seen == [1, 0]


# Where it may not go


def test_it_does_not_pickle() -> None:
    ring: RingBuffer[int] = RingBuffer(1)
    for send in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="SharedRingBuffer"):
            send(ring)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_is_told() -> None:
    ring: RingBuffer[int] = RingBuffer(4)
    ring.put(1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        said = []
        for call in (
            lambda: ring.put(2),
            lambda: ring.get(),
            lambda: ring.get_many(2, block=False),
            lambda: ring.put_many([1, 2]),
            lambda: ring.task_done(),
            lambda: ring.join(),
            lambda: ring.stats(),
        ):
            try:
                call()
                said.append("nothing")
            except RuntimeError as error:
                said.append("fork" if "fork" in str(error) else str(error))
            except BaseException as error:
                said.append(repr(error))
        os.write(writer, repr(said).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read().decode()
    assert os.waitpid(child, 0)[1] == 0
    assert answer == repr(["fork"] * 7)
    assert ring.get() == 1, "the parent goes on"


# Errors


def test_exceptions_are_those_of_the_standard_library() -> None:
    assert issubclass(Full, queue.Full) and issubclass(Empty, queue.Empty)
    assert issubclass(Busy, Full) and issubclass(Busy, Empty)
    if sys.version_info >= (3, 13):
        assert issubclass(ShutDown, queue.ShutDown)
    for error in (Full, Empty, Busy, ShutDown, Interrupted):
        assert issubclass(error, TurtleError)
        assert getattr(turtle_buffers, error.__name__) is error


def test_exceptions_say_what_happened() -> None:
    ring: RingBuffer[int] = RingBuffer(1)
    with pytest.raises(Empty, match="the ring is empty"):
        ring.get_nowait()
    ring.put(1)
    with pytest.raises(Full, match="the ring is full"):
        ring.put_nowait(1)
    ring.shutdown()
    with pytest.raises(ShutDown, match="shut down"):
        ring.put(1)


def test_stats_count(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(2, strategy=strategy)
    assert ring.put_many([1, 2, 3], block=False) == 2
    ring.get()
    with pytest.raises(Empty):
        RingBuffer(1, strategy=strategy).get_nowait()
    stats = ring.stats()
    assert (stats["capacity"], stats["len"]) == (2, 1)
    assert (stats["pushed"], stats["popped"]) == (2, 1)
    assert stats["full"] == 1 and stats["empty"] == 0 and stats["closed"] is False
    ring.shutdown()
    assert ring.stats()["closed"] is True


# One thread a side


def test_spsc_sides_belong_to_threads() -> None:
    ring: RingBuffer[int] = RingBuffer(8, strategy="spsc")
    ring.put(1)
    assert ring.get() == 1
    with pytest.raises(RuntimeError, match=r"one producer.*release_thread\(\)"):
        Worker(ring.put, 2).result()
    with pytest.raises(RuntimeError, match=r"one consumer.*release_thread\(\)"):
        Worker(ring.get).result()
    ring.release_thread()
    Worker(ring.put, 2).result()
    assert ring.get() == 2


def test_spsc_side_is_free_when_its_thread_ends() -> None:
    """A thread that Python has joined may not have given its side back yet: hence many rounds."""
    ring: RingBuffer[int] = RingBuffer(8, strategy="spsc")
    for number in range(1000):
        Worker(ring.put, number).result()
        assert Worker(ring.get).result() == number


def test_the_interpreter_ends_in_peace(strategy: str) -> None:
    """Threads still wait, items are left, and what is dropped last is slow to go."""
    script = """
import sys, threading, time, turtle_buffers
class Slow:
    def __del__(self, clock=time.monotonic):
        until = clock() + 0.2
        while clock() < until:
            pass
        print("dropped", flush=True)
empty = turtle_buffers.RingBuffer(4, strategy=sys.argv[1])
full = turtle_buffers.RingBuffer(1, strategy=sys.argv[1])
full.put(Slow())
full.release_thread()
for call in (empty.get, lambda: full.put(None)):
    threading.Thread(target=call, daemon=True).start()
while not (empty.stats()["waits"] and full.stats()["waits"]):
    pass
"""
    done = subprocess.run(
        [sys.executable, "-c", script, strategy], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
