"""Any objects between processes: pickled, and what cannot be is said."""

import copy
import multiprocessing
import pickle
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from helpers import PATIENCE, Point, Worker, answer_points, asleep
from turtle_buffers import Empty, Full, Mismatch, SharedRingBuffer, ShutDown


@pytest.fixture
def ring(name: str, shared_strategy: str) -> Any:
    """A ring of objects."""
    with SharedRingBuffer(name, 8, 4096, strategy=shared_strategy, objects=True, create=True) as ring:
        yield ring


ITEMS = [None, 7, "text", (1, [2, {"three": 3.5}]), Point(1, 2), ValueError("sent"), b"bytes", 10**50]


def test_objects_come_out_equal(ring: Any) -> None:
    assert ring.objects and ring.dtype is None
    for item in ITEMS:
        ring.put(item)
        ring.put_nowait(item)
        for answer in (ring.get(), ring.get_nowait()):
            assert type(answer) is type(item) and repr(answer) == repr(item)
    assert ring.put_many(ITEMS) == len(ITEMS)
    assert repr(ring.get_many(3) + ring.get_many(99)) == repr(ITEMS)
    ring.put_many(ITEMS)
    ring.shutdown()
    assert repr(list(ring)) == repr(ITEMS)


def test_arrays(ring: Any) -> None:
    array = np.arange(400.0).reshape(20, 20)
    ring.put(array)
    assert (ring.get() == array).all()


def test_what_cannot_be_sent(ring: Any) -> None:
    with pytest.raises(ValueError, match=r"pickled, has \d+ bytes.*at most 4096.*larger item_size"):
        ring.put("x" * 4096)
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        ring.put(lambda: 1)
    with pytest.raises(ValueError):
        ring.put_many([1, "x" * 5000, 2])
    assert ring.get_many(9) == [1], "what came before it was put"
    assert ring.empty()


def test_what_cannot_be_made_anew_is_gone_and_said(ring: Any, name: str) -> None:
    with SharedRingBuffer(name) as plain:
        plain.put(b"no pickle")
        plain.put(pickle.dumps("next"))
        plain.release_thread()
    with pytest.raises(pickle.UnpicklingError):
        ring.get()
    assert ring.get() == "next"


def test_full_empty_waiting_and_the_end(ring: Any) -> None:
    with pytest.raises(Empty):
        ring.get(timeout=0.01)
    getter = Worker(ring.get)
    ring.release_thread()
    asleep(ring, 1)
    ring.put({"a": 1})
    assert getter.result() == {"a": 1}
    assert ring.put_many(range(20), block=False) == 8
    with pytest.raises(Full):
        ring.put(1, timeout=0.01)
    ring.shutdown(immediate=True)
    with pytest.raises(ShutDown):
        ring.get()


def test_a_ring_of_one_size_is_another_thing(name: str) -> None:
    SharedRingBuffer(name, 4, dtype="f8", create=True)
    with pytest.raises(Mismatch, match="pickled objects"):
        SharedRingBuffer(name, objects=True)


def test_it_pickles_as_a_ring_of_objects(ring: Any) -> None:
    for other in (pickle.loads(pickle.dumps(ring)), copy.copy(ring)):
        assert other.objects
        other.put([1, 2])
        other.release_thread()
        assert ring.get() == [1, 2]
        ring.release_thread()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_between_processes(name: str, method: str) -> None:
    context = multiprocessing.get_context(method)
    with (
        SharedRingBuffer(name, 8, 512, objects=True, create=True) as there,
        SharedRingBuffer(name + "b", 64, 512, objects=True, create=True) as back,
    ):
        try:
            child = context.Process(target=answer_points, args=(there, back))
            child.start()
            for n in range(50):
                there.put(Point(n, -n))
            there.shutdown()
            assert list(back) == [Point(-n, n) for n in range(50)]
            child.join(PATIENCE)
            assert child.exitcode == 0
        finally:
            back.unlink()


def test_unpickling_is_for_those_who_ask(name: str) -> None:
    """Who opens the ring without objects=True runs nothing: pickles are bytes to it."""
    with SharedRingBuffer(name, 4, 512, objects=True, create=True) as ring:
        ring.put(Point(1, 2))
        script = "import sys, turtle_buffers as t; print(type(t.SharedRingBuffer(sys.argv[1]).get()).__name__)"
        done = subprocess.run([sys.executable, "-c", script, name], capture_output=True, text=True)
        assert (done.stdout, done.stderr) == ("bytes\n", "")
