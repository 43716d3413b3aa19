"""Waiting: the interpreter lock is free meanwhile, Ctrl-C is heard, timeouts hold."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from helpers import PATIENCE, Worker, asleep, eventually
from turtle_buffers import Empty, Full, Interrupted, RingBuffer, SharedRingBuffer


def test_others_run_while_a_get_waits(strategy: str) -> None:
    ring: RingBuffer[str] = RingBuffer(1, strategy=strategy)
    getter = Worker(ring.get)
    asleep(ring)
    # That this thread got here shows it; make it a little longer than one slice.
    until, work = time.monotonic() + 0.12, 0
    while time.monotonic() < until:
        work += 1
    assert getter.is_alive() and work > 100
    ring.put("at last")
    assert getter.result() == "at last"


def test_others_run_while_a_put_waits(shared: SharedRingBuffer) -> None:
    for number in range(8):
        shared.put(b"%d" % number)
    shared.release_thread()
    putter = Worker(shared.put, b"8")
    asleep(shared)
    assert putter.is_alive()
    assert [shared.get() for _ in range(9)] == [b"%d" % number for number in range(9)]
    putter.result()


def test_many_waiting_threads_do_not_hold_each_other_up() -> None:
    ring: RingBuffer[int] = RingBuffer(4)
    getters = [Worker(ring.get) for _ in range(16)]
    asleep(ring, 16)
    for number in range(16):
        ring.put(number)
    assert sorted(getter.result() for getter in getters) == list(range(16))


def test_a_timeout_is_neither_early_nor_endless(strategy: str) -> None:
    ring: RingBuffer[int] = RingBuffer(1, strategy=strategy)
    for timeout in (0.001, 0.06, 0.12):  # less and more than one slice
        began = time.monotonic()
        with pytest.raises(Empty):
            ring.get(timeout=timeout)
        assert timeout <= time.monotonic() - began < PATIENCE
    ring.put(1)
    began = time.monotonic()
    with pytest.raises(Full):
        ring.put_many([2, 3], timeout=0.06)
    assert time.monotonic() - began >= 0.06


@pytest.mark.parametrize("timeout", [1e300, float("inf"), threading.TIMEOUT_MAX])
def test_a_very_long_timeout_is_for_ever(timeout: float) -> None:
    ring: RingBuffer[int] = RingBuffer(1)
    getter = Worker(ring.get, True, timeout)
    asleep(ring)
    ring.put(5)
    assert getter.result() == 5


def test_a_timeout_that_is_no_number() -> None:
    ring: RingBuffer[int] = RingBuffer(1)
    with pytest.raises(ValueError, match="timeout"):
        ring.get(timeout=float("nan"))
    with pytest.raises(TypeError):
        ring.get(timeout="soon")  # type: ignore[arg-type]


def test_an_interrupt_between_two_slices_is_not_lost(strategy: str) -> None:
    """While this thread keeps the interpreter, the waiting one ends its slice and cannot begin another."""
    ring: RingBuffer[int] = RingBuffer(1, strategy=strategy)
    getter = Worker(ring.get)
    asleep(ring)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(10)
    try:
        until = time.monotonic() + 0.15
        while time.monotonic() < until:
            pass
        ring.interrupt()
    finally:
        sys.setswitchinterval(interval)
    with pytest.raises(Interrupted):
        getter.result()


def test_join_is_woken_by_the_last_task_done() -> None:
    """Not only at the end of a slice of 50 ms. On a busy machine one of twenty rounds must show it."""
    ring: RingBuffer[int] = RingBuffer(1)
    delays = []
    for _ in range(20):
        ring.put(1)
        ring.get()

        def wait() -> float:
            ring.join()
            return time.monotonic()

        joiner = Worker(wait)
        joiner.join(0.005)  # so that it is most likely asleep
        told = time.monotonic()
        ring.task_done()
        delays.append(joiner.result() - told)
        if delays[-1] < 0.02:
            break
    assert min(delays) < 0.02, delays


def test_a_signal_handler_runs_and_the_wait_goes_on() -> None:
    ring: RingBuffer[str] = RingBuffer(1)
    main = threading.main_thread().ident
    assert main is not None
    heard = []

    def on_signal(number: int, frame: object) -> None:
        heard.append(number)
        ring.put("from the handler")

    old = signal.signal(signal.SIGUSR1, on_signal)
    try:

        def send() -> None:
            asleep(ring)
            signal.pthread_kill(main, signal.SIGUSR1)

        sender = Worker(send)
        assert ring.get() == "from the handler"
        sender.result()
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert heard == [signal.SIGUSR1]


CTRL_C = """
import asyncio, signal, sys, time, turtle_buffers
# A parent that runs in the background ignores it, and that is inherited.
signal.signal(signal.SIGINT, signal.default_int_handler)
call, name = sys.argv[1:]
if call.startswith("shared"):
    ring = turtle_buffers.SharedRingBuffer(name, 1, 8, create=True)
    ring.unlink()
    item = b"x"
else:
    ring = turtle_buffers.RingBuffer(1)
    item = "x"
if "put" in call or call == "join":
    ring.put(item)
calls = {
    "get": lambda: ring.get(),
    "get timeout": lambda: ring.get(timeout=1000),
    "get_many": lambda: ring.get_many(5),
    "next": lambda: next(ring),
    "put": lambda: ring.put(item),
    "put_many": lambda: ring.put_many([item] * 5),
    "join": lambda: ring.join(),
    "shared get": lambda: ring.get(),
    "shared put": lambda: ring.put(item),
    "shared get_many": lambda: ring.get_many(5),
    "shared put_many": lambda: ring.put_many([item] * 5),
    "shared next": lambda: next(ring),
    "shared get_into": lambda: ring.get_into(bytearray(8)),
    "shared claim to put": lambda: ring.claim().__enter__(),
    "shared peek": lambda: ring.peek().__enter__(),
    "aget": lambda: asyncio.run(ring.aget()),
    "aput": lambda: asyncio.run(ring.aput(item)),
    "shared async for": lambda: asyncio.run(ring.__anext__()),
}
while True:
    try:
        print("waiting", flush=True)
        calls[call]()
    except KeyboardInterrupt:
        print(time.monotonic(), ring.qsize(), flush=True)
"""


@pytest.mark.parametrize(
    "call",
    ["get", "get timeout", "get_many", "next", "put", "put_many", "join", "aget", "aput"]
    + [
        "shared get", "shared put", "shared get_many", "shared put_many", "shared next", "shared get_into",
        "shared claim to put", "shared peek", "shared async for",
    ],
)
def test_ctrl_c(call: str, name: str) -> None:
    """KeyboardInterrupt comes within 100 ms. On a busy machine one of ten attempts must show it."""
    child = subprocess.Popen(
        [sys.executable, "-c", CTRL_C, call, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    state = Path(f"/proc/{child.pid}/stat")
    delays = []
    try:
        for _ in range(10):
            assert Worker(child.stdout.readline).result() == "waiting\n"
            if state.exists():
                asleep_now = lambda: state.read_text().rpartition(")")[2].split()[0] == "S"  # noqa: E731
                eventually(asleep_now, "the child sleeps")
            sent = time.monotonic()
            os.kill(child.pid, signal.SIGINT)
            raised, size = Worker(child.stdout.readline).result().split()
            assert int(size) == (1 if "put" in call or call == "join" else 0), "nothing put, nothing taken"
            delays.append(float(raised) - sent)
            if delays[-1] < 0.1:
                break
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
    assert min(delays) < 0.1, delays
