"""Compare RingBuffer and SharedRingBuffer with what the standard library offers.

    python python/benches/compare.py [--quick] [--json FILE] [--only threads|processes|calls]

Measures the installed package. In each round every contender runs once, in an order that changes
from round to round; the figure is the median of the ratios to the reference of the same round,
with its bootstrap 95 % interval. What arrives is checked in every run: all of it, in order.

Not measured: several producers or consumers, objects that have to be pickled, an idle machine's
sleep states. With the interpreter lock two threads take turns of up to 5 ms, so rates between
threads are closer to the cost of the calls than to that of a hand-over.
"""

import argparse
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
from pathlib import Path
from typing import Any

import turtle_buffers
from turtle_buffers import RingBuffer, SharedRingBuffer

CAPACITY = 1024
BATCH = 100

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
    answer: list[int] = []

    def consume() -> None:
        expected = 0
        start.wait()
        began = time.perf_counter_ns()
        if batch:
            while expected < count:
                items = q.get_many(BATCH)
                assert items[0] == expected and items[-1] == expected + len(items) - 1
                expected += len(items)
        else:
            get = q.get
            while expected < count:
                assert get() == expected
                expected += 1
        answer.append(time.perf_counter_ns() - began)

    consumer = threading.Thread(target=consume)
    consumer.start()
    start.wait()
    if batch:
        for first in range(0, count, BATCH):
            q.put_many(range(first, min(first + BATCH, count)))
    else:
        put = q.put
        for number in range(count):
            put(number)
    consumer.join()
    return answer[0] / count


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
        self.queue: Any = multiprocessing.get_context("fork").Queue(CAPACITY)
        self.send = self.send_many = self.queue.put
        self.receive = self.receive_many = self.queue.get

    def end(self) -> None:
        self.queue.close()
        self.queue.join_thread()


class Pipe:
    """multiprocessing.Pipe, of objects or of raw bytes; a batch is a list."""

    def __init__(self, raw: bool) -> None:
        self.reader, self.writer = multiprocessing.get_context("fork").Pipe(duplex=False)
        self.send_many, self.receive_many = self.writer.send, self.reader.recv
        self.send = self.writer.send_bytes if raw else self.writer.send
        self.receive = self.reader.recv_bytes if raw else self.reader.recv

    def end(self) -> None:
        self.reader.close()
        self.writer.close()


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
    items = payloads(count, size)

    def produce() -> None:
        if isinstance(way, Queue):
            way.queue.cancel_join_thread()
        ready.receive()
        if batch:
            for first in range(0, count, BATCH):
                way.send_many(items[first : first + BATCH])
        else:
            for item in items:
                way.send(item)
        if isinstance(way, Queue):
            way.queue.close()
            way.queue._thread.join()

    join = forked(produce)
    ready.send(items[0])
    received: list[bytes] = []
    began = time.perf_counter_ns()
    if batch:
        while len(received) < count:
            received += way.receive_many()
    else:
        receive = way.receive
        for _ in range(count):
            received.append(receive())
    took = time.perf_counter_ns() - began
    join()
    assert received == items, "lost, doubled or out of order"
    way.end()
    ready.end()
    return took / count


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
    return "One thread: put_nowait and get_nowait of a small int", "ns/item", runs


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
    return "Thread to thread: small int", "ns/item", runs


def with_new(run: Callable[..., float], make: Callable[[], Any], *arguments: Any) -> float:
    """Each run has a ring of its own."""
    return run(make(), *arguments)


def ways(engines: list[str], size: int) -> dict[str, Callable[[], Any]]:
    return {
        "multiprocessing.Queue": Queue,
        "Pipe send/recv": partial(Pipe, raw=False),
        "Pipe send_bytes/recv_bytes": partial(Pipe, raw=True),
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
    what = f"batches of {BATCH}" if batch else "one by one"
    return f"Process to process: {size} B, {what}", "ns/item", runs


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
    parser.add_argument("--only", choices=["calls", "threads", "processes"])
    arguments = parser.parse_args()
    rounds, scale = (3, 10) if arguments.quick else (9, 1)
    out = sys.stdout
    if arguments.json == "-":
        sys.stdout = sys.stderr

    engines = [engine["name"] for engine in turtle_buffers.strategies()]
    shared = [engine["name"] for engine in turtle_buffers.strategies() if engine["shared"]]
    groups = {
        "calls": [calls(engines, scale)],
        "threads": [threads(engines, scale)],
        "processes": [
            *(processes(shared, scale, size, batch) for size in (64, 1024) for batch in (False, True)),
            latency(shared, scale),
        ],
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
    if arguments.json:
        record = {
            "version": turtle_buffers.__version__,
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "capacity": CAPACITY,
            "rounds": rounds,
            "rows": rows,
        }
        text = json.dumps(record, indent=1) + "\n"
        if arguments.json == "-":
            out.write(text)
        else:
            Path(arguments.json).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
