"""Participants that are known again, on the engines that keep a record of each (perhaps none of this build)."""

import multiprocessing
import pickle
import signal
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import turtle_buffers
from helpers import PATIENCE, count_up, eventually, hold
from turtle_buffers import Empty, SharedRingBuffer, ShutDown

RECORDERS = [str(e["name"]) for e in turtle_buffers.strategies() if e["records"] and e["shared"]]


def rings(name: str, **options: Any) -> Iterator[SharedRingBuffer[Any]]:
    """A ring of each such engine, one after the other under the same name."""
    for strategy in RECORDERS:
        with SharedRingBuffer(name, strategy=strategy, create=True, **options) as ring:
            yield ring
            ring.unlink()


def test_sessions_come_back(name: str) -> None:
    for ring in rings(name, capacity=8, item_size=16, max_threads=2):
        out = ring.as_producer(7)
        assert repr(out.recovered) == "Recovered(done=0, died=False, orphans=[])"
        with pytest.raises(RuntimeError, match="alive"):
            ring.as_producer(7)
        with pytest.raises(RuntimeError, match="alive"):
            ring.forget_producer(7)
        with pytest.raises(TypeError, match="one process"):
            pickle.dumps(out)
        out.put(b"a")
        assert out.put_many([b"b", b"c"]) == 3 - 1
        with out.claim(1) as view:
            view[:] = b"d"
        out.close()
        with pytest.raises(ValueError, match="closed"):
            out.put(b"e")
        # The ring goes on, and what it puts itself is not counted.
        ring.put(b"e")
        got = ring.as_consumer(7)
        assert [got.get(), *got.get_many(2), got.get_nowait()] == [b"a", b"b", b"c", b"d"]
        got.close()
        assert [was.recovered.done for was in (ring.as_producer(7), ring.as_consumer(7)) if was.recovered] == [4, 4]
        assert ring.get() == b"e"
        with pytest.raises(Empty):
            ring.get_nowait()
        assert (ring.forget_producer(7), ring.forget_producer(7)) == (True, False)
        ring.shutdown()
        with pytest.raises(ShutDown):
            ring.as_producer(7).put(b"f")


def test_an_interrupt_is_for_one_object(name: str) -> None:
    for ring in rings(name, capacity=2, item_size=8):
        session = ring.as_consumer(3)
        ring.interrupt()
        ring.put(b"a")
        assert session.get(timeout=PATIENCE) == b"a"
        session.close()


def test_a_killed_producer_goes_on(name: str) -> None:
    for ring in rings(name, capacity=16, item_size=16):
        following = 0
        for _ in range(3):
            process = multiprocessing.get_context("spawn").Process(target=count_up, args=(name,))
            process.start()
            for _ in range(200):
                assert ring.get(timeout=PATIENCE) == b"%d" % following
                following += 1
            process.kill()
            process.join(PATIENCE)
            while not ring.empty():
                assert ring.get() == b"%d" % following
                following += 1
        again = ring.as_producer(7)
        assert again.recovered is not None and again.recovered.done == following
        again.close()


@pytest.mark.parametrize("kind", ["bytes", "dtype", "objects"])
def test_orphans_are_items(name: str, kind: str) -> None:
    options: dict[str, Any] = {
        "bytes": {"item_size": 16},
        "dtype": {"dtype": "i8"},
        "objects": {"item_size": 64, "objects": True},
    }[kind]
    item: Any = {"bytes": b"x", "dtype": np.int64(5), "objects": {"a": [1]}}[kind]
    for ring in rings(name, capacity=4, **options):
        ring.put(item)
        process = multiprocessing.get_context("spawn").Process(target=hold, args=(name,))
        process.start()
        process.join(PATIENCE)
        assert process.exitcode == -signal.SIGKILL
        eventually(lambda: ring.stats()["dead_participants"] == 1, "the dead one is found")
        assert ring.orphans() == []
        got = ring.as_consumer(8).recovered
        assert got is not None and (got.done, got.orphans) == (1, [item])
