"""What the tests share: engines from the library's own table, threads that report, work for processes.

A module of its own, because processes that are spawned import it.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import turtle_buffers
from turtle_buffers import SharedRingBuffer

STRATEGIES = [engine["name"] for engine in turtle_buffers.strategies()]
SHARED = [engine["name"] for engine in turtle_buffers.strategies() if engine["shared"]]
MANY = [
    engine["name"]
    for engine in turtle_buffers.strategies()
    if engine["producers"] == engine["consumers"] == "many"
]

# How long a test waits for something that must happen before it calls it a failure.
PATIENCE = 60.0

class Worker(threading.Thread):
    """A thread whose result, or exception, is given to whoever joins it."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        super().__init__(daemon=True)
        self._call, self._args = call, args
        self._result: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._result = self._call(*self._args)
        except BaseException as error:  # handed over, whatever it is
            self._error = error

    def result(self) -> Any:
        """Join; answer what the call answered or raise what it raised."""
        self.join(PATIENCE)
        assert not self.is_alive(), "the thread is still busy"
        if self._error is not None:
            raise self._error
        return self._result


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Look until `condition` holds; fail if it never does."""
    deadline = time.monotonic() + PATIENCE
    look = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        look.wait(0.001)


def asleep(ring: Any, waits: int = 1) -> None:
    """Wait until calls on `ring` have gone to sleep `waits` times since it was made."""
    eventually(lambda: ring.stats()["waits"] >= waits, "a call waits")


# Items that each process sends.
EACH = 2000


def produce(ring: SharedRingBuffer, number: int) -> None:
    for n in range(EACH):
        ring.put(b"%d %d" % (number, n))


def double(source: SharedRingBuffer, sink: SharedRingBuffer) -> None:
    for item in source:
        sink.put(item * 2)
    sink.shutdown()


@dataclass
class Point:
    """Something to pickle."""

    x: int
    y: int


def answer_points(there: "SharedRingBuffer[Any]", back: "SharedRingBuffer[Any]") -> None:
    for point in there:
        back.put(Point(point.y, point.x))
    back.shutdown()


def count_up(name: str) -> None:
    """Put its own index, from where the session is, until it is killed."""
    with SharedRingBuffer(name, create=False) as ring:
        out = ring.as_producer(7)
        assert out.recovered is not None
        number = out.recovered.done
        while True:
            out.put(b"%d" % number)
            number += 1


def hold(name: str) -> None:
    """Take an item, and be killed with it."""
    with SharedRingBuffer(name, create=False) as ring, ring.as_consumer(8).peek():
        os.kill(os.getpid(), signal.SIGKILL)
