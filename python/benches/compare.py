"""Compare RingBuffer and SharedRingBuffer with what people use in Python today.

    python python/benches/compare.py [--quick] [--json FILE] [--only calls|threads|processes|arrays]

Measures the installed package. In each round every contender runs once, in an order that changes
from round to round; the figure is the median of the ratios to the reference of the same round,
with its bootstrap 95 % interval. What arrives is checked in every run: all of it, in order.

Rivals that are not installed are named and left out: `scripts/bench.sh` installs what it can.

Not measured: several producers or consumers, objects that have to be pickled, an idle machine's
sleep states. With the interpreter lock two threads take turns of up to 5 ms, so rates between
threads are closer to the cost of the calls than to that of a hand-over.
"""

import argparse
import asyncio
import importlib
import json
import multiprocessing
import os
import platform
import queue
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

import turtle_buffers
from turtle_buffers import RingBuffer, SharedRingBuffer

CAPACITY = 1024
BATCH = 100

FORK = multiprocessing.get_context("fork")
# Not installed, or not usable here: name -> why.
MISSING: dict[str, str] = {}


def rival(module: str) -> Any:
    """A package that may not be here."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        MISSING[module] = str(error)
        return None


numpy, zmq, faster_fifo, culsans, janus = map(rival, ["numpy", "zmq", "faster_fifo", "culsans", "janus"])
MISSING["iceoryx2"] = "publishes to who polls: nothing to wait on, so no row compares with it"

# A contender runs once and answers nanoseconds an item, or a list of them (latencies).
Run = Callable[[], Any]


# One thread: the cost of the calls


def pairs(q: Any, count: int) -> float:
    put, get = q.put_nowait, q.get_nowait
    total = 0
    began = time.perf_counter_ns()
    for number in range(count):
        put(number)
        total += get()
    took = time.perf_counter_ns() - began
    assert total == count * (count - 1) // 2
    return took / count


def batch_pairs(q: Any, count: int) -> float:
    items = list(range(BATCH))
    began = time.perf_counter_ns()
    for _ in range(count // BATCH):
        q.put_many(items)
        assert q.get_many(BATCH) == items
    return (time.perf_counter_ns() - began) / count


# Two threads


def through_threads(q: Any, count: int, batch: bool = False) -> float:
    start = threading.Barrier(2)
    # The clock starts with whoever starts first: into an unbounded queue one thread
    # may put everything before the other one is let in.
    began: list[int] = []
    ended: list[int] = []

    def consume() -> None:
        # Into a list, whoever it comes from: looking at each item is not the queue's work.
        got: list[int] = []
        start.wait()
        began.append(time.perf_counter_ns())
        if batch:
            while len(got) < count:
                got += q.get_many(BATCH)
        else:
            get, keep = q.get, got.append
            for _ in range(count):
                keep(get())
        ended.append(time.perf_counter_ns())
        assert got == list(range(count)), "lost, doubled or out of order"

    consumer = threading.Thread(target=consume)
    consumer.start()
    start.wait()
    began.append(time.perf_counter_ns())
    if batch:
        for first in range(0, count, BATCH):
            q.put_many(range(first, min(first + BATCH, count)))
    else:
        put = q.put
        for number in range(count):
            put(number)
    consumer.join()
    return (ended[0] - min(began)) / count


def to_coroutine(make: Callable[[], Any], count: int) -> float:
    """A thread puts, a coroutine takes."""

    async def consume() -> float:
        put, get, end = make()
        producer = threading.Thread(target=lambda: [put(number) for number in range(count)])
        began = time.perf_counter_ns()
        producer.start()
        for number in range(count):
            assert await get() == number
        took = time.perf_counter_ns() - began
        producer.join()
        await end()
        return took / count

    return asyncio.run(consume())


async def nothing() -> None:
    """No end to make."""


def janus_queue() -> tuple[Any, Any, Any]:
    q = janus.Queue(CAPACITY)
    return q.sync_q.put, q.async_q.get, q.aclose


def culsans_queue() -> tuple[Any, Any, Any]:
    q = culsans.Queue(CAPACITY)
    return q.sync_q.put, q.async_q.get, nothing


def threadsafe_queue() -> tuple[Any, Any, Any]:
    q: asyncio.Queue[int] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    return lambda item: loop.call_soon_threadsafe(q.put_nowait, item), q.get, nothing


def ring_to_coroutine(strategy: str) -> tuple[Any, Any, Any]:
    q: RingBuffer[int] = RingBuffer(CAPACITY, strategy=strategy)
    return q.put, q.aget, nothing


# Two processes


def payloads(count: int, size: int) -> list[bytes]:
    """Distinct items: pickle would send one that repeats only once."""
    return [number.to_bytes(8, "little") * (size // 8) for number in range(count)]


class Ring:
    """SharedRingBuffer as a way from process to process."""

    def __init__(self, strategy: str, size: int) -> None:
        name = f"/turtle-bench-{os.getpid()}-{random.getrandbits(32)}"
        self.ring = SharedRingBuffer(name, CAPACITY, size, strategy=strategy, create=True)
        self.send, self.receive = self.ring.put, self.ring.get

    def send_many(self, items: list[bytes]) -> None:
        self.ring.put_many(items)

    def receive_many(self) -> list[bytes]:
        return self.ring.get_many(BATCH)

    def end(self) -> None:
        self.ring.unlink()
        self.ring.close()


class Queue:
    """multiprocessing.Queue; a batch is a list."""

    def __init__(self) -> None:
        self.queue: Any = FORK.Queue(CAPACITY)
        self.send = self.send_many = self.queue.put
        self.receive = self.receive_many = self.queue.get

    def end(self) -> None:
        self.queue.close()
        self.queue.join_thread()


class Pipe:
    """multiprocessing.Pipe, of objects or of raw bytes; a batch is a list."""

    def __init__(self, raw: bool) -> None:
        self.reader, self.writer = FORK.Pipe(duplex=False)
        self.send_many, self.receive_many = self.writer.send, self.reader.recv
        self.send = self.writer.send_bytes if raw else self.writer.send
        self.receive = self.reader.recv_bytes if raw else self.reader.recv

    def end(self) -> None:
        self.reader.close()
        self.writer.close()


class SimpleQueue:
    """multiprocessing.SimpleQueue; a batch is a list."""

    def __init__(self) -> None:
        self.queue: Any = FORK.SimpleQueue()
        self.send = self.send_many = self.queue.put
        self.receive = self.receive_many = self.queue.get

    def end(self) -> None:
        self.queue.close()


class FasterFifo:
    """faster_fifo.Queue, which pickles. Its waits have limits; this one is never reached."""

    def __init__(self, size: int) -> None:
        self.queue = faster_fifo.Queue(CAPACITY * (size + 128))
        self.send = self.queue.put
        self.receive = partial(self.queue.get, timeout=1000.0)
        self.send_many = self.queue.put_many
        self.receive_many = partial(self.queue.get_many, timeout=1000.0, max_messages_to_get=BATCH)

    def end(self) -> None:
        self.queue.close()


class Zmq:
    """pyzmq, PUSH to PULL over ipc, raw bytes. The sockets are made where they are used."""

    def __init__(self) -> None:
        self.where = f"ipc:///tmp/turtle-bench-{os.getpid()}-{random.getrandbits(32)}"
        self.sockets: dict[tuple[str, int], Any] = {}

    def socket(self, kind: str) -> Any:
        found = self.sockets.get((kind, os.getpid()))
        if found is None:
            found = zmq.Context().socket(getattr(zmq, kind))
            found.set_hwm(CAPACITY)
            # Who pushes binds; who connects first waits for it.
            found.bind(self.where) if kind == "PUSH" else found.connect(self.where)
            self.sockets[kind, os.getpid()] = found
        return found

    def send(self, item: Any) -> None:
        self.send = self.socket("PUSH").send
        self.send(item)

    def receive(self) -> Any:
        self.receive = self.socket("PULL").recv
        return self.receive()

    def send_many(self, items: list[bytes]) -> None:
        self.socket("PUSH").send_multipart(items)

    def receive_many(self) -> Any:
        return self.socket("PULL").recv_multipart()

    def leave(self) -> None:
        """Before the process ends: what was sent has to get out."""
        for (_, process), socket in self.sockets.items():
            if process == os.getpid():
                socket.close(linger=-1)
                socket.context.term()

    def end(self) -> None:
        self.leave()
        Path(self.where.removeprefix("ipc://")).unlink(missing_ok=True)


def forked(body: Callable[[], None]) -> Callable[[], None]:
    """Run `body` in a forked child; answers what waits for it to end well."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            body()
            code = 0
        finally:
            os._exit(code)

    def join() -> None:
        assert os.waitpid(child, 0)[1] == 0, "the other process failed"

    return join


def through_processes(make: Callable[[], Any], count: int, size: int, batch: bool) -> float:
    """Nanoseconds an item, stamped by the consumer; the producer is a child."""
    way, ready = make(), make()
    rounds, check = divmod(count, BATCH)
    assert check == 0
    expected = payloads(BATCH, size)

    def produce() -> None:
        if isinstance(way, Queue):
            way.queue.cancel_join_thread()
        # Its own, so that it does not pay for pages that it shares with its parent.
        items = payloads(BATCH, size)
        ready.receive()
        for _ in range(rounds):
            if batch:
                way.send_many(items)
            else:
                for item in items:
                    way.send(item)
        if isinstance(way, Queue):
            way.queue.close()
            way.queue._thread.join()
        if isinstance(way, Zmq):
            way.leave()

    join = forked(produce)
    ready.send(expected[0])
    # Checked as they come and let go, as a consumer does; to keep them all would measure page faults.
    # The first ones come before the clock starts: connecting is not an item's cost.
    done = 0

    def take(until: int) -> None:
        nonlocal done
        while done < until:
            if batch:
                got = way.receive_many()
                at = done % BATCH
                assert got == (expected + expected)[at : at + len(got)], "lost, doubled or out of order"
                done += len(got)
            else:
                assert way.receive() == expected[done % BATCH], "lost, doubled or out of order"
                done += 1

    take(BATCH)
    began, first = time.perf_counter_ns(), done
    take(count)
    took = time.perf_counter_ns() - began
    join()
    way.end()
    ready.end()
    return took / (count - first)


def round_trips(make: Callable[[], Any], count: int, size: int) -> list[float]:
    """Nanoseconds of each there-and-back of one item, both ways otherwise idle."""
    there, back = make(), make()
    item = payloads(2, size)[1]

    def echo() -> None:
        for _ in range(count):
            back.send(there.receive())
        if isinstance(back, Queue):
            back.queue.close()
            back.queue.join_thread()
        if isinstance(back, Zmq):
            back.leave()

    join = forked(echo)
    took = []
    for _ in range(count):
        began = time.perf_counter_ns()
        there.send(item)
        assert back.receive() == item
        took.append(float(time.perf_counter_ns() - began))
    join()
    there.end()
    back.end()
    return took[count // 10 :]


# Large arrays: the receiver reads every byte

FLOATS = 2**17
SLOTS = 4


class RingOfArrays:
    """SharedRingBuffer(dtype=...), by copies or in place."""

    def __init__(self, strategy: str, in_place: bool) -> None:
        name = f"/turtle-bench-{os.getpid()}-{random.getrandbits(32)}"
        dtype = numpy.dtype(("f8", FLOATS))
        self.ring = SharedRingBuffer(name, SLOTS, strategy=strategy, create=True, dtype=dtype)
        self.ring.unlink()
        self.room = numpy.empty(FLOATS)
        self.send = self.claim if in_place else self.ring.put
        self.read = self.peek if in_place else self.copy

    def claim(self, array: Any) -> None:
        with self.ring.claim() as slot:
            slot[:] = array

    def peek(self) -> float:
        with self.ring.peek() as slot:
            return float(slot.sum())

    def copy(self) -> float:
        self.ring.get_into(self.room)
        return float(self.room.sum())

    def end(self) -> None:
        self.ring.close()


class ByHand:
    """shared_memory with two semaphores: what one writes without a library."""

    def __init__(self) -> None:
        self.memory = shared_memory.SharedMemory(create=True, size=SLOTS * FLOATS * 8)
        self.slots = numpy.frombuffer(self.memory.buf, "f8").reshape(SLOTS, FLOATS)
        self.items, self.room = FORK.Semaphore(0), FORK.Semaphore(SLOTS)
        self.sent = self.read_so_far = 0

    def send(self, array: Any) -> None:
        self.room.acquire()
        self.slots[self.sent % SLOTS] = array
        self.sent += 1
        self.items.release()

    def read(self) -> float:
        self.items.acquire()
        total = float(self.slots[self.read_so_far % SLOTS].sum())
        self.read_so_far += 1
        self.room.release()
        return total

    def end(self) -> None:
        del self.slots
        self.memory.unlink()
        self.memory.close()


class Pickled:
    """A queue that pickles, or a socket that takes buffers."""

    def __init__(self, way: Any) -> None:
        self.way, self.send = way, way.send

    def read(self) -> float:
        return float(numpy.frombuffer(self.way.receive(), "f8").sum())

    def end(self) -> None:
        self.way.end()


def arrays_through(make: Callable[[], Any], count: int) -> float:
    """Nanoseconds an array of 1 MB."""
    way, ready = make(), Pipe(raw=True)
    arrays = [numpy.arange(FLOATS, dtype="f8") + n for n in range(4)]
    sums = [float(array.sum()) for array in arrays]

    def produce() -> None:
        ready.receive()
        for n in range(count):
            way.send(arrays[n % 4])
        inner = getattr(way, "way", None)
        if isinstance(inner, Queue):
            inner.queue.close()
            inner.queue.join_thread()
        if isinstance(inner, Zmq):
            inner.leave()

    join = forked(produce)
    ready.send(b"go")
    warm = SLOTS
    for n in range(count):
        if n == warm:
            began = time.perf_counter_ns()
        assert way.read() == sums[n % 4], "not what was sent"
    took = time.perf_counter_ns() - began
    join()
    way.end()
    ready.end()
    return took / (count - warm)


def arrays(engines: list[str], scale: int) -> tuple[str, str, dict[str, Run]]:
    makers: dict[str, Callable[[], Any]] = {
        "multiprocessing.Queue": lambda: Pickled(Queue()),
        "shared_memory by hand": ByHand,
        **({"pyzmq ipc": lambda: Pickled(Zmq())} if zmq else {}),
        **{f"SharedRingBuffer {name}, put and get_into": partial(RingOfArrays, name, False) for name in engines},
        **{f"SharedRingBuffer {name}, claim and peek": partial(RingOfArrays, name, True) for name in engines},
    }
    count = 1_000 // scale
    slow = ("multiprocessing.Queue", "pyzmq ipc")
    runs: dict[str, Run] = {
        name: partial(arrays_through, make, count // 4 if name in slow else count) for name, make in makers.items()
    }
    return ARRAYS, "ns/array", runs


# Rounds, figures, table


def interval(ratios: list[float]) -> tuple[float, float]:
    """Bootstrap 95 % interval of the median; the seed is fixed, so a record can be recomputed."""
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(ratios, k=len(ratios))) for _ in range(2000))
    return medians[50], medians[1949]


def quantile(values: list[float], q: float) -> float:
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def compare(title: str, unit: str, runs: dict[str, Run], rounds: int) -> list[dict[str, Any]]:
    """Run all contenders `rounds` times; the first one is the reference."""
    names = list(runs)
    found: dict[str, list[float]] = {name: [] for name in names}
    tails: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds + 1):
        order = names[number % len(names) :] + names[: number % len(names)]
        for name in order:
            answer = runs[name]()
            if number == 0:
                continue  # warm-up
            if isinstance(answer, list):
                found[name].append(statistics.median(answer))
                tails[name].append(quantile(answer, 0.99))
            else:
                found[name].append(answer)
    rows = []
    print(f"\n{title}")
    heads = [unit, "min", "max", *(["p99"] if tails[names[0]] else []), f"x {names[0]}", "95 %"]
    print(f"  {'':36}" + "".join(f"{head:>14}" for head in heads[:-2]) + f"  {heads[-2]} (95 % interval)")
    for name in names:
        ratios = [ours / other for other, ours in zip(found[name], found[names[0]], strict=True)]
        low, high = interval(ratios)
        row: dict[str, Any] = {
            "group": title,
            "name": name,
            "unit": unit,
            "median": statistics.median(found[name]),
            "min": min(found[name]),
            "max": max(found[name]),
            "times_as_fast_as_reference": statistics.median(ratios),
            "interval": [low, high],
            "all": found[name],
        }
        figures = [row["median"], row["min"], row["max"]]
        if tails[name]:
            row["p99"] = statistics.median(tails[name])
            figures.append(row["p99"])
        rows.append(row)
        print(
            f"  {name:36}"
            + "".join(f"{figure:14,.1f}" for figure in figures)
            + f"  {row['times_as_fast_as_reference']:.2f} ({low:.2f} to {high:.2f})"
        )
    return rows


CALLS = "One thread: put_nowait and get_nowait of a small int"
THREADS = "Thread to thread: small int"
ARRAYS = "Process to process: arrays of 1 MB, every byte is read"


def between(size: int, batch: bool) -> str:
    what = f"batches of {BATCH}" if batch else "one by one"
    return f"Process to process: {size} B, {what}"


# Group, what our row begins and ends with, the rival's row, how many times as fast.
BARS = [
    (THREADS, "RingBuffer ", "", "queue.Queue", 6.0),
    (CALLS, "RingBuffer ", f"batches of {BATCH}", "queue.SimpleQueue (unbounded)", 3.0),
    (THREADS, "RingBuffer ", f"batches of {BATCH}", "queue.SimpleQueue (unbounded)", 3.0),
    (between(64, False), "SharedRingBuffer ", "", "multiprocessing.Queue", 10.0),
    (between(64, False), "SharedRingBuffer ", "", "pyzmq ipc", 1.2),
    (between(1024, True), "SharedRingBuffer ", "", "Pipe send/recv", 4.0),
    (ARRAYS, "SharedRingBuffer ", "", "multiprocessing.Queue", 20.0),
    (ARRAYS, "SharedRingBuffer ", "claim and peek", "shared_memory by hand", 1.0),
]


def bars(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Ratios of the same round, for each of our rows that a bar is about."""
    found = []
    for group, begin, end, other, wanted in BARS:
        in_group = {row["name"]: row for row in rows if row["group"] == group}
        if other not in in_group:
            continue
        for name, row in in_group.items():
            if not name.startswith(begin) or not name.endswith(end) or (not end and "batches" in name):
                continue
            ratios = [theirs / ours for ours, theirs in zip(row["all"], in_group[other]["all"], strict=True)]
            low, high = interval(ratios)
            found.append(
                {
                    "group": group,
                    "name": name,
                    "rival": other,
                    "wanted": wanted,
                    "ratio": statistics.median(ratios),
                    "interval": [low, high],
                    "met": statistics.median(ratios) >= wanted,
                }
            )
    return found


def calls(engines: list[str], scale: int) -> tuple[str, str, dict[str, Run]]:
    count = 100_000 // scale
    runs: dict[str, Run] = {
        "queue.Queue": lambda: pairs(queue.Queue(CAPACITY), count // 10),
        "queue.SimpleQueue (unbounded)": lambda: pairs(queue.SimpleQueue(), count),
    }
    for name in engines:
        make = partial(RingBuffer, CAPACITY, strategy=name)
        runs[f"RingBuffer {name}"] = partial(with_new, pairs, make, count)
        runs[f"RingBuffer {name}, batches of {BATCH}"] = partial(with_new, batch_pairs, make, count)
    return CALLS, "ns/item", runs


def coroutines(engines: list[str], scale: int) -> tuple[str, str, dict[str, Run]]:
    count = 20_000 // scale
    makers: dict[str, Callable[[], Any]] = {
        "call_soon_threadsafe, asyncio.Queue": threadsafe_queue,
        **({"janus": janus_queue} if janus else {}),
        **({"culsans": culsans_queue} if culsans else {}),
        **{f"RingBuffer {name}": partial(ring_to_coroutine, name) for name in engines},
    }
    runs: dict[str, Run] = {name: partial(to_coroutine, make, count) for name, make in makers.items()}
    return "Thread to coroutine: small int", "ns/item", runs


def threads(engines: list[str], scale: int) -> tuple[str, str, dict[str, Run]]:
    count = 100_000 // scale
    runs: dict[str, Run] = {
        "queue.Queue": lambda: through_threads(queue.Queue(CAPACITY), count // 5),
        "queue.SimpleQueue (unbounded)": lambda: through_threads(queue.SimpleQueue(), count),
    }
    for name in engines:
        make = partial(RingBuffer, CAPACITY, strategy=name)
        runs[f"RingBuffer {name}"] = partial(with_new, through_threads, make, count)
        runs[f"RingBuffer {name}, batches of {BATCH}"] = partial(with_new, through_threads, make, count, True)
    if culsans:
        runs["culsans"] = lambda: through_threads(culsans.Queue(CAPACITY).sync_q, count // 5)
    return THREADS, "ns/item", runs


def with_new(run: Callable[..., float], make: Callable[[], Any], *arguments: Any) -> float:
    """Each run has a ring of its own."""
    return run(make(), *arguments)


def ways(engines: list[str], size: int) -> dict[str, Callable[[], Any]]:
    return {
        "multiprocessing.Queue": Queue,
        "Pipe send/recv": partial(Pipe, raw=False),
        "Pipe send_bytes/recv_bytes": partial(Pipe, raw=True),
        "multiprocessing.SimpleQueue": SimpleQueue,
        **({"faster-fifo": partial(FasterFifo, size)} if faster_fifo else {}),
        **({"pyzmq ipc": Zmq} if zmq else {}),
        **{f"SharedRingBuffer {name}": partial(Ring, name, size) for name in engines},
    }


def processes(
    engines: list[str], scale: int, size: int, batch: bool
) -> tuple[str, str, dict[str, Run]]:
    count = 50_000 // scale
    runs: dict[str, Run] = {
        name: partial(through_processes, make, count, size, batch)
        for name, make in ways(engines, size).items()
        if not (batch and "bytes" in name)  # it has no batches
    }
    return between(size, batch), "ns/item", runs


def latency(engines: list[str], scale: int) -> tuple[str, str, dict[str, Run]]:
    runs: dict[str, Run] = {
        name: partial(round_trips, make, 2_000 // scale, 64)
        for name, make in ways(engines, 64).items()
    }
    return "Process to process: one item of 64 B there and back, p50 and p99", "ns", runs


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="3 short rounds: shows that it runs, no figures to quote"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures there, - for the output")
    parser.add_argument("--only", choices=["calls", "threads", "processes", "arrays"])
    arguments = parser.parse_args()
    rounds, scale = (3, 10) if arguments.quick else (9, 1)
    out = sys.stdout
    if arguments.json == "-":
        sys.stdout = sys.stderr

    engines = [engine["name"] for engine in turtle_buffers.strategies()]
    shared = [engine["name"] for engine in turtle_buffers.strategies() if engine["shared"]]
    groups = {
        "calls": [calls(engines, scale)],
        "threads": [threads(engines, scale), coroutines(engines, scale)],
        "processes": [
            *(processes(shared, scale, size, batch) for size in (64, 1024) for batch in (False, True)),
            latency(shared, scale),
        ],
        "arrays": [arrays(shared, scale)] if numpy else [],
    }
    print(
        f"turtle-buffers {turtle_buffers.__version__}, "
        f"Python {platform.python_version()}, {os.cpu_count()} cores"
    )
    rows: list[dict[str, Any]] = []
    for group, comparisons in groups.items():
        if arguments.only in (None, group):
            for comparison in comparisons:
                rows += compare(*comparison, rounds)
    for name, why in MISSING.items():
        print(f"left out: {name}: {why}")
    measured = bars(rows)
    print("\nbars: times as fast as the rival (95 % interval)")
    for bar in measured:
        low, high = bar["interval"]
        print(
            f"  {'holds ' if bar['met'] else 'MISSED'} {bar['ratio']:8.2f} ({low:.2f} to {high:.2f}), "
            f"wanted {bar['wanted']:g}: {bar['name']} against {bar['rival']}; {bar['group']}"
        )
    if arguments.json:
        record = {
            "version": turtle_buffers.__version__,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "capacity": CAPACITY,
            "rounds": rounds,
            "rows": rows,
            "bars": measured,
            "left_out": MISSING,
        }
        text = json.dumps(record, indent=1) + "\n"
        if arguments.json == "-":
            out.write(text)
        else:
            Path(arguments.json).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
