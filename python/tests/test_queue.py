"""Drop-in: each test runs on `queue.Queue` itself, which shows that the test is right, and on every engine."""

import functools
import queue
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from helpers import STRATEGIES, Worker, asleep
from turtle_buffers import RingBuffer, ShutDown

Make = Callable[..., Any]
MAKERS: dict[str, Make] = {"queue.Queue": queue.Queue}
for _name in STRATEGIES:
    MAKERS[_name] = functools.partial(RingBuffer, strategy=_name)


@pytest.fixture(params=MAKERS)
def make(request: pytest.FixtureRequest) -> Make:
    """`queue.Queue`, and what takes its place."""
    return MAKERS[request.param]


def one_thread_only(make: Make) -> bool:
    """Whether each side belongs to one thread."""
    return isinstance(make, functools.partial) and make.keywords["strategy"] == "spsc"


# `queue.Queue` itself has a shutdown from Python 3.13; before, the rings are without a model.
CLOSING = [name for name in MAKERS if name != "queue.Queue" or sys.version_info >= (3, 13)]
SHUT_DOWN: tuple[type[Exception], ...] = (ShutDown,)
if sys.version_info >= (3, 13):
    SHUT_DOWN = (queue.ShutDown,)


@pytest.fixture(params=CLOSING)
def closing(request: pytest.FixtureRequest) -> Make:
    """What can be shut down."""
    return MAKERS[request.param]


def test_first_in_first_out(make: Make) -> None:
    q = make(3)
    for item in (111, "two", None):
        q.put(item)
    assert [q.get() for _ in range(3)] == [111, "two", None]


def test_many_rounds_keep_the_order(make: Make) -> None:
    q = make(3)
    out = []
    for number in range(100):
        q.put(number)
        if q.full():
            out += [q.get(), q.get(), q.get()]
    out.append(q.get())
    assert out == list(range(100))


def test_size_empty_and_full(make: Make) -> None:
    q = make(2)
    assert (q.qsize(), q.empty(), q.full()) == (0, True, False)
    q.put(1)
    assert (q.qsize(), q.empty(), q.full()) == (1, False, False)
    q.put(2)
    assert (q.qsize(), q.empty(), q.full()) == (2, False, True)
    q.get()
    assert (q.qsize(), q.empty(), q.full()) == (1, False, False)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 100])
def test_capacity_is_exact(make: Make, size: int) -> None:
    q = make(size)
    assert q.maxsize == size
    for _ in range(3):
        for number in range(size):
            q.put_nowait(number)
        with pytest.raises(queue.Full):
            q.put_nowait("one more")
        assert [q.get_nowait() for _ in range(size)] == list(range(size))
        with pytest.raises(queue.Empty):
            q.get_nowait()


def test_arguments_by_position_and_by_name(make: Make) -> None:
    q = make(maxsize=2)
    q.put("a", True, 0.01)
    q.put(item="b", block=True, timeout=None)
    with pytest.raises(queue.Full):
        q.put("c", False)
    with pytest.raises(queue.Full):
        q.put("c", block=False, timeout=10)
    assert q.get(True, 0.01) == "a"
    assert q.get(block=True, timeout=None) == "b"
    with pytest.raises(queue.Empty):
        q.get(False)
    with pytest.raises(queue.Empty):
        q.get(block=False, timeout=10)


def test_block_is_true_or_false_as_anything_is(make: Make) -> None:
    q = make(1)
    q.put(1, 1, 5)
    with pytest.raises(queue.Full):
        q.put(2, 0)
    with pytest.raises(queue.Full):
        q.put(2, "", timeout=5)
    assert q.get("yes") == 1
    for false in (0, None, []):
        with pytest.raises(queue.Empty):
            q.get(false)


@pytest.mark.parametrize("timeout", [0, 0.0, 0.02])
def test_timeouts_are_full_and_empty(make: Make, timeout: float) -> None:
    q = make(1)
    began = time.monotonic()
    with pytest.raises(queue.Empty):
        q.get(timeout=timeout)
    q.put(1)
    with pytest.raises(queue.Full):
        q.put(2, timeout=timeout)
    assert time.monotonic() - began >= 2 * timeout


def test_negative_timeout(make: Make) -> None:
    q = make(1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.get(timeout=-1)
    with pytest.raises(ValueError, match="'timeout' must be a non-negative number"):
        q.put(1, timeout=-0.5)
    q.put(1, block=False, timeout=-1)  # not looked at
    assert q.get(False, -1) == 1


def test_get_waits_for_put(make: Make) -> None:
    q = make(1)
    getter = Worker(q.get)
    q.put("item")
    assert getter.result() == "item"


def test_put_waits_for_get(make: Make) -> None:
    q = make(1)
    q.put("first")
    both = threading.Barrier(2)

    def put_second() -> None:
        both.wait()
        q.put("second")

    if one_thread_only(make):
        q.release_thread()
    putter = Worker(put_second)
    both.wait()
    assert q.get() == "first"
    assert q.get() == "second"
    putter.result()


def test_join_waits_for_every_task(make: Make) -> None:
    q = make(10)
    done = []

    def work() -> None:
        for _ in range(100):
            item = q.get()
            done.append(item)
            q.task_done()

    worker = Worker(work)
    for number in range(100):
        q.put(number)
    q.join()
    assert done == list(range(100))
    worker.result()
    assert q.unfinished_tasks == 0


def test_join_of_nothing_returns(make: Make) -> None:
    q = make(1)
    q.join()
    q.put(1)
    q.get()
    assert q.unfinished_tasks == 1
    q.task_done()
    q.join()


def test_too_many_task_done(make: Make) -> None:
    q = make(2)
    with pytest.raises(ValueError, match=r"task_done\(\) called too many times"):
        q.task_done()
    q.put(1)
    q.task_done()
    with pytest.raises(ValueError, match="too many"):
        q.task_done()


def test_it_is_true_even_when_empty(make: Make) -> None:
    assert make(1)


def test_generic_alias_and_weak_reference(make: Make) -> None:
    import weakref

    q = make(1)
    alias = type(q)[int]
    assert alias.__origin__ is type(q) and alias.__args__ == (int,)
    assert weakref.ref(q)() is q


def test_shutdown_drains_first(closing: Make) -> None:
    q = closing(3)
    q.put("a")
    q.put("b")
    q.shutdown()
    assert q.is_shutdown
    puts: list[Callable[[], object]] = [
        lambda: q.put("c"),
        lambda: q.put_nowait("c"),
        lambda: q.put("c", timeout=0.01),
    ]
    for put in puts:
        with pytest.raises(SHUT_DOWN):
            put()
    assert (q.get(), q.get_nowait()) == ("a", "b")
    for get in (q.get, q.get_nowait, lambda: q.get(timeout=0.01)):
        with pytest.raises(SHUT_DOWN):
            get()
    q.shutdown()


def test_immediate_shutdown_drops_and_ends_join(closing: Make) -> None:
    q = closing(3)
    q.put("a")
    q.put("b")
    assert q.get() == "a"
    q.task_done()
    joiner = Worker(q.join)
    q.shutdown(immediate=True)
    assert q.empty()
    joiner.result()
    with pytest.raises(SHUT_DOWN):
        q.get()


def test_shutdown_wakes_who_waits(closing: Make) -> None:
    empty, full = closing(1), closing(1)
    full.put(1)
    if one_thread_only(closing):
        full.release_thread()
    for q, call in ((empty, empty.get), (full, lambda: full.put(2))):
        worker = Worker(call)
        if isinstance(q, RingBuffer):
            asleep(q)
        q.shutdown()
        with pytest.raises(SHUT_DOWN):
            worker.result()


@pytest.mark.parametrize("threads", [1, 3])
def test_nothing_is_lost_between_threads(make: Make, threads: int) -> None:
    if threads > 1 and one_thread_only(make):
        threads = 1
    each = 3000
    q = make(5)

    def produce(number: int) -> None:
        for n in range(each):
            q.put((number, n))

    def consume() -> list[tuple[int, int]]:
        return [q.get() for _ in range(each)]

    producers = [Worker(produce, number) for number in range(threads)]
    consumers = [Worker(consume) for _ in range(threads)]
    for producer in producers:
        producer.result()
    taken = [consumer.result() for consumer in consumers]
    for items in taken:
        for number in range(threads):
            mine = [n for producer, n in items if producer == number]
            assert mine == sorted(mine), "one producer's items came out of order"
    assert sorted(item for items in taken for item in items) == [
        (number, n) for number in range(threads) for n in range(each)
    ]
    assert q.empty()
