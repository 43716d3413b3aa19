"""The main job on real input: C++ and Rust push every line of Python's own library, Python counts words.

One round for each engine and each set of producers: producer processes push numbered lines into a
shared ring, a consumer process pops them, compares every line with the file, and counts words. The
counts must equal those of a sequential pass. In each round a producer is killed. On engines that
promise it, it is started again under its session, goes on behind the last line that arrived, and no line
may be missing or come twice. On the others it is killed in the worst place where one can hold up others,
halfway through a push: if it does, a new ring takes the old one's name, and all go on there. Ends with one verdict line; exit status 0 when every round was right.

Called by demo.sh, which sets TURTLE_PREFIX (an installed copy) and TURTLE_TARGET (where to write).
"""

from __future__ import annotations

import argparse
import array
import dataclasses
import json
import multiprocessing
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import sysconfig
import time
from collections import Counter
from typing import Any, Iterator

import turtle_buffers
from demo_picture import picture
from turtle_buffers import SharedRingBuffer

ROOT = pathlib.Path(__file__).resolve().parent.parent
# As in cli/src/produce.rs and cpp_examples/line_producer.cpp: producer, 0, line number, monotonic ns.
HEAD = struct.Struct("<IIQQ")
BATCH = 512
STALLED = 30.0  # seconds without a single line: something hangs
HELD_UP = 1.0  # seconds without a line after a kill: nobody will come to clear it
SAMPLE = 0.02  # seconds between two points of the picture
FORK = multiprocessing.get_context("fork")  # the consumer inherits the lines instead of reading them again


class Wrong(Exception):
    """A round that did not do what was promised."""


# ---------------------------------------------------------------------------------------- input


@dataclasses.dataclass
class Input:
    lines: list[bytes]
    words: Counter[bytes]
    listing: pathlib.Path
    files: int
    seconds: float

    @property
    def longest(self) -> int:
        return max(map(len, self.lines))


def split_lines(data: bytes) -> list[bytes]:
    """Lines end at a newline byte; a last line without one counts."""
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines


def collect(folder: pathlib.Path, limit: int | None) -> Input:
    """Reads the library's sources and counts words in one sequential pass.

    With a limit, the file in which it falls is replaced by a copy that ends there.
    """
    began = time.monotonic()
    library = pathlib.Path(sysconfig.get_path("stdlib"))
    lines: list[bytes] = []
    words: Counter[bytes] = Counter()
    paths: list[pathlib.Path] = []
    for path in sorted(library.rglob("*.py")):
        # Installed packages lie below the library and are not part of it. A list has one path a line.
        if {"site-packages", "dist-packages"} & set(path.parts) or "\n" in str(path):
            continue
        if limit is not None and len(lines) >= limit:
            break
        data = path.read_bytes()
        here = split_lines(data)
        if limit is not None and len(lines) + len(here) > limit:
            here = here[: limit - len(lines)]
            data = b"".join(line + b"\n" for line in here)
            path = folder / "last_file.py"
            path.write_bytes(data)
        words.update(data.split())  # the whole file at once: another way than the consumer's
        lines += here
        paths.append(path)
    if not lines:
        raise SystemExit(f"demo: there are no Python sources in {library}")
    listing = folder / "files.txt"
    listing.write_text("".join(f"{path}\n" for path in paths))
    return Input(lines, words, listing, len(paths), time.monotonic() - began)


# ------------------------------------------------------------------------------------- consumer


@dataclasses.dataclass
class Shared:
    """What driver and consumer tell each other while a round runs; one entry for each producer."""

    taken: Any  # lines taken, sent again included
    newest: Any  # highest line number taken, -1 before the first
    again_from: Any  # a restarted producer's --start, -1 when it was never restarted or goes on by its session
    rings: Any  # how often a new ring took the name
    died: Any  # monotonic ns when a producer was dead, 0 before
    back: Any  # monotonic ns of the first push of the one that was started in its place, 0 before

    @classmethod
    def of(cls, producers: int) -> Shared:
        newest = FORK.RawArray("q", [-1] * producers)
        again = FORK.RawArray("q", [-1] * producers)
        zeros = [FORK.RawArray("q", producers) for _ in range(3)]
        return cls(zeros[0], newest, again, FORK.RawValue("q"), zeros[1], zeros[2])


@dataclasses.dataclass
class Taken:
    """What the consumer found."""

    words: Counter[bytes]
    lines: int
    again: int  # lines that came twice after a restart, recognised by their number
    latencies: array.array[int]  # ns from just before the push to the return of get_many, sorted
    points: list[tuple[float, tuple[int, ...], int]]  # seconds, lines by producer, elements in the ring
    first: float  # monotonic seconds when the first line came
    seconds: float  # from the first line to the last


class Check:
    """Compares every record with the input.

    What a producer sends is its own lines one after the other, without a gap, and each is compared
    with the file. So a line that is lost, comes twice or out of order is noticed at once. A restarted
    producer may step back, once, to where it was told to go on; what it sends again is known by its
    number.
    """

    def __init__(self, expected: list[bytes], shared: Shared) -> None:
        self.expected = expected
        self.shared = shared
        self.of = len(shared.taken)
        self.next = list(range(self.of))
        self.newest = [-1] * self.of
        self.taken = [0] * self.of
        self.stepped_back = [False] * self.of
        self.again = 0
        self.words: Counter[bytes] = Counter()
        self.latencies = array.array("Q")

    def record(self, record: bytes, now: int) -> None:
        producer, zero, number, stamp = HEAD.unpack_from(record)
        line = record[HEAD.size :]
        if zero != 0 or producer >= self.of or number >= len(self.expected):
            raise Wrong(f"a record has a damaged head: {record[: HEAD.size].hex()}")
        if number != self.next[producer]:
            self.step_back(producer, number)
        if line != self.expected[number]:
            raise Wrong(f"line {number} arrived changed: {line[:60]!r}")
        self.next[producer] = number + self.of
        self.taken[producer] += 1
        if number <= self.newest[producer]:
            self.again += 1
            return
        self.newest[producer] = number
        self.latencies.append(max(0, now - stamp))
        self.words.update(line.split())

    def step_back(self, producer: int, number: int) -> None:
        start = self.shared.again_from[producer]
        first = start + (producer - start) % self.of
        if start < 0 or self.stepped_back[producer] or number != first:
            raise Wrong(f"line {number} of producer {producer} arrived where line {self.next[producer]} was next")
        self.stepped_back[producer] = True

    def look_for_restarted(self, batch: list[bytes]) -> None:
        """Notes the first push of a producer that was started in a dead one's place."""
        for dead, died in enumerate(self.shared.died):
            if died and not self.shared.back[dead]:
                stamps = (stamp for producer, _, _, stamp in map(HEAD.unpack_from, batch) if producer == dead)
                self.shared.back[dead] = next((stamp for stamp in stamps if stamp > died), 0)

    def finish(self) -> int:
        """How many lines arrived: all of them, or it is wrong."""
        for producer, following in enumerate(self.next):
            if following < len(self.expected):
                raise Wrong(f"line {following} of producer {producer} and what follows never arrived")
        return sum(self.taken) - self.again


def consume(name: str, expected: list[bytes], shared: Shared, answer: Any) -> None:
    """The consumer process: pops until the ring is shut down and drained, then sends a `Taken`."""
    try:
        ring = SharedRingBuffer(name)
        check = Check(expected, shared)
        points = []
        answer.send("ready")
        first = last = next_point = 0.0
        rings = 0
        while True:
            try:
                batch = ring.get_many(BATCH, timeout=HELD_UP / 4)
            except turtle_buffers.Empty:
                if shared.rings.value > rings:
                    rings = shared.rings.value
                    ring.close()
                    ring = SharedRingBuffer(name)
                continue
            except turtle_buffers.ShutDown:
                break
            now = time.monotonic_ns()
            last = now / 1e9
            if not first:
                first = last
            for record in batch:
                check.record(record, now)
            check.look_for_restarted(batch)
            shared.taken[:] = check.taken
            shared.newest[:] = check.newest
            if last >= next_point:
                points.append((last - first, tuple(check.taken), ring.qsize()))
                next_point = last + SAMPLE
        points.append((last - first, tuple(check.taken), 0))
        lines = check.finish()
        latencies = array.array("Q", sorted(check.latencies))
        answer.send(Taken(check.words, lines, check.again, latencies, points, first, last - first))
    except Exception as error:  # whatever it is, the driver has to hear of it
        answer.send(f"{type(error).__name__}: {error}" if not isinstance(error, Wrong) else str(error))


# ------------------------------------------------------------------------------------ producers


@dataclasses.dataclass
class Language:
    """How to start a producer that is written in it."""

    name: str
    program: pathlib.Path

    def command(self, ring: str, listing: pathlib.Path, start: int, me: int, of: int, session: int, halt_at: int | None) -> list[str]:
        known = ["--producers", str(of), *(["--session", str(session)] if session else [])]
        if self.name == "C++":
            known += [] if halt_at is None else ["--halt-at", str(halt_at)]
            return [str(self.program), ring, str(listing), str(start), "--id", str(me), *known]
        options = ["--files", str(listing), "--start", str(start), "--producer", str(me)]
        return [str(self.program), "produce", ring, *options, *known]


def build_cpp(prefix: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
    """Compiles the C++ producer against the installed library, as a user would."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if not compiler:
        raise SystemExit("demo: there is no C++ compiler (Debian: apt-get install g++)")
    program = folder / "line_producer"
    library = prefix / "lib"
    command = [
        *compiler.split(), "-std=c++17", "-O2", str(ROOT / "cpp_examples/line_producer.cpp"),
        f"-I{prefix / 'include'}", f"-L{library}", f"-Wl,-rpath,{library}", "-lturtle", "-pthread", "-o", str(program),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"demo: the C++ producer does not compile:\n{' '.join(command)}\n{done.stderr}")
    return program


class Producer:
    """One producer of a round: its process, and the next one after a kill."""

    def __init__(self, language: Language, ring: str, given: Input, me: int, of: int, row: Round, log: Any) -> None:
        self.language, self.ring, self.given, self.me, self.of, self.log = language, ring, given, me, of, log
        # Who may be killed and is known afterwards has a session, from the beginning.
        self.session = me + 1 if row.promised else 0
        # Which line it shall stop at, if it is to be killed halfway through a push.
        self.halt_at = me + self.share() // 2 * of if row.halfway and language.name == "C++" else None
        self.process = self.start(0)

    def start(self, first_line: int) -> subprocess.Popen[bytes]:
        command = self.language.command(self.ring, self.given.listing, first_line, self.me, self.of, self.session, self.halt_at)
        self.dead = False
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def is_stopped(self) -> bool:
        running = self.process.poll() is None
        return running and os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT) is not None

    def kill(self) -> None:
        self.dead = True
        self.process.kill()
        self.process.wait()

    def share(self) -> int:
        """How many lines are this producer's."""
        return len(range(self.me, len(self.given.lines), self.of))


# ---------------------------------------------------------------------------------------- round


@dataclasses.dataclass
class Round:
    """One row of the table."""

    strategy: str
    producers: list[str]
    promised: bool  # to survive a kill
    halfway: bool = False  # the kill comes halfway through a push
    error: str = ""
    taken: Taken | None = None
    killed_at: float | None = None  # monotonic seconds
    held_up: float | None = None  # seconds from there to a new ring
    back: float | None = None  # seconds from there to the first push of the one that was started in its place

    @property
    def survived(self) -> str:
        if self.killed_at is None:
            return "-"
        if self.error:
            return "NO"
        if self.held_up is not None:
            return f"no: held up all, new ring after {self.held_up:.1f} s"
        assert self.taken is not None and self.back is not None
        exactly = "" if self.promised else f", {self.taken.again:,} sent again"
        return f"yes, back in {self.back * 1e3:,.0f} ms{exactly}"

    def quantile(self, q: float) -> float:
        """Microseconds."""
        assert self.taken is not None
        ordered = self.taken.latencies
        return ordered[min(len(ordered) - 1, int(q * len(ordered)))] / 1e3


class Driver:
    """Runs one round: ring, consumer, producers, and the kill where it is due."""

    def __init__(self, row: Round, languages: list[Language], given: Input, options: Any) -> None:
        self.row, self.languages, self.given, self.options = row, languages, given, options
        self.due = True
        self.victim = 0 if row.halfway else len(languages) - 1  # C++ can stop in the worst place
        self.name = f"/turtle-demo-{os.getpid()}-{row.strategy}"
        self.shared = Shared.of(len(languages))
        self.producers: list[Producer] = []
        self.consumer: Any = None

    def run(self, log: Any) -> None:
        self.ring = self.new_ring()
        try:
            ours, theirs = FORK.Pipe(duplex=False)
            arguments = (self.name, self.given.lines, self.shared, theirs)
            self.consumer = FORK.Process(target=consume, args=arguments, daemon=True)
            self.consumer.start()
            theirs.close()
            self.expect_ready(ours)
            of = len(self.languages)
            self.producers = [
                Producer(lang, self.name, self.given, i, of, self.row, log) for i, lang in enumerate(self.languages)
            ]
            self.watch(ours)
            self.ring.shutdown()  # everything has been pushed: the consumer drains the rest and answers
            self.finish(ours)
        finally:
            for producer in self.producers:
                producer.kill()
            if self.consumer is not None:
                self.consumer.kill()
                self.consumer.join()
            self.ring.unlink()
            self.ring.close()

    def new_ring(self) -> SharedRingBuffer:
        size = HEAD.size + max(self.given.longest, 1)
        return SharedRingBuffer(self.name, self.options.capacity, size, strategy=self.row.strategy, create=True)

    def expect_ready(self, answer: Any) -> None:
        said = self.hear(answer, STALLED)
        if said != "ready":
            raise Wrong(f"the consumer did not start: {said}")

    def hear(self, answer: Any, seconds: float) -> Any:
        if not answer.poll(seconds):
            raise Wrong(f"the consumer said nothing for {seconds:.0f} s")
        try:
            return answer.recv()
        except EOFError:
            raise Wrong("the consumer died") from None

    def watch(self, answer: Any) -> None:
        """Until every producer has ended well."""
        told = moved = time.monotonic()
        before = 0
        while True:
            states = [producer.process.poll() if not producer.dead else None for producer in self.producers]
            for producer, state in zip(self.producers, states):
                if state not in (None, 0):
                    raise Wrong(f"the {producer.language.name} producer ended with status {state}; see producers.log")
            if all(state == 0 for state in states):
                if self.due:
                    raise Wrong("the producers were done before one could be killed; give more --lines")
                return
            if answer.poll(0.002):
                raise Wrong(self.hear(answer, 0))
            now, taken = time.monotonic(), sum(self.shared.taken)
            if taken > before:
                before, moved = taken, now
            elif self.row.halfway and not self.due and self.row.held_up is None and now - moved > HELD_UP:
                self.clear()
                moved = now
            elif now - moved > STALLED:
                raise Wrong(f"no line arrived for {STALLED:.0f} s after {taken:,}")
            if self.due:
                self.maybe_kill()
            if now - told >= 1:
                told = now
                print(f"        {taken:,} of {len(self.given.lines):,} lines", flush=True)

    def maybe_kill(self) -> None:
        """Kills a producer when half of its lines have arrived, or where it stopped, and starts it again."""
        victim = self.producers[self.victim]
        if self.row.halfway:
            if not victim.is_stopped():
                return
        elif self.shared.taken[victim.me] < victim.share() // 2:
            return
        self.due = False
        victim.halt_at = None
        victim.kill()
        if victim.process.returncode == 0:
            raise Wrong("the producer was done before it could be killed; give more --lines")
        self.shared.died[victim.me] = time.monotonic_ns()
        self.row.killed_at = self.shared.died[victim.me] / 1e9
        if self.row.halfway:
            print(f"        killed the {victim.language.name} producer halfway through a push", flush=True)
            return  # it may have to be cleared first
        start = 0  # a session tells by itself how far it was
        where = "behind the last line that arrived"
        if not victim.session:
            # What was pushed before the kill comes in order, so nothing above the newest line is needed
            # to know where to go on; what lies in the ring now will come twice.
            start = self.shared.newest[victim.me] + 1
            self.shared.again_from[victim.me] = start
            where = f"at line {start:,}"
        victim.process = victim.start(start)
        print(f"        killed the {victim.language.name} producer; started again, it goes on {where}", flush=True)

    def clear(self) -> None:
        """After a kill that holds up everybody: a new ring under the name. What the old one holds is sent again there."""
        for producer in self.producers:
            producer.kill()
        self.ring.unlink()
        self.ring.close()
        self.ring = self.new_ring()
        self.row.held_up = time.monotonic() - self.row.killed_at
        self.shared.rings.value += 1
        for producer in self.producers:
            producer.process = producer.start(self.shared.newest[producer.me] + 1)
        print("        no line arrives any more: all go on with a new ring", flush=True)

    def finish(self, answer: Any) -> None:
        said = self.hear(answer, STALLED)
        if not isinstance(said, Taken):
            raise Wrong(said)
        self.row.taken = said
        victim = self.victim
        if self.row.killed_at is not None:
            if not self.shared.back[victim]:
                raise Wrong("no line came from the producer that was started again")
            self.row.back = (self.shared.back[victim] - self.shared.died[victim]) / 1e9
        if said.words != self.given.words:
            differing = sum(1 for word in said.words | self.given.words if said.words[word] != self.given.words[word])
            raise Wrong(f"{differing} words are counted differently than in the sequential pass")


def rounds(doctor: dict[str, Any], wanted: list[str] | None, languages: dict[str, Language]) -> Iterator[tuple[Round, list[Language]]]:
    """From the table of engines: with many producers C++ and Rust together, with one each in turn."""
    for entry in doctor["strategies"]:
        if entry["planned"] or not entry["shared"] or (wanted and entry["name"] not in wanted):
            continue
        if not entry["runs_shared"]:
            print(f"SKIP: {entry['name']}: {entry['reason']}")
            continue
        many = entry["producers"] == "many"
        for names in [["C++", "Rust"]] if many else [["Rust"], ["C++"]]:
            yield Round(entry["name"], names, entry["survives_kill"], many and not entry["survives_kill"]), [languages[name] for name in names]


# --------------------------------------------------------------------------------------- report


def print_table(rows: list[Round]) -> None:
    head = ["strategy", "producers", "lines/s", "p50 µs", "p99 µs", "survived kill", "verdict"]
    cells = [head]
    for row in rows:
        speed = p50 = p99 = "-"
        if row.taken:
            if row.taken.seconds > 0:
                speed = f"{row.taken.lines / row.taken.seconds:,.0f}"
            p50, p99 = f"{row.quantile(0.5):,.0f}", f"{row.quantile(0.99):,.0f}"
        verdict = "wrong" if row.error else "right"
        cells.append([row.strategy, " + ".join(row.producers), speed, p50, p99, row.survived, verdict])
    widths = [max(len(line[i]) for line in cells) for i in range(len(head))]
    print()
    for n, line in enumerate(cells):
        text = [cell.rjust(width) if 2 <= i <= 4 else cell.ljust(width) for i, (cell, width) in enumerate(zip(line, widths))]
        print("  " + "  ".join(text).rstrip())
        if n == 0:
            print("  " + "  ".join("-" * width for width in widths))
    print(
        "\n  p50, p99: from just before the push until Python has the line, waiting in a full ring included.\n"
        "  The consumer is the slow side: it counts words in Python, so the ring is full most of the time.\n"
        "  survived kill: a producer was killed with SIGKILL halfway and started again; back: from its death to its first\n"
        "  new line, starting the process and finding the place in the input included. Where one can hold up others it was\n"
        "  killed in the middle of a push, and as nothing arrived any more all went on with a new ring."
    )


# ----------------------------------------------------------------------------------------- main


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description="The main job on real input. Writes TARGET/demo/demo.svg.")
    parser.add_argument("--lines", type=int, metavar="N", help="take only the first N lines of input")
    parser.add_argument("--strategy", metavar="A,B", help="only these engines")
    parser.add_argument("--capacity", type=int, default=1024, metavar="N", help="elements of the ring (1024)")
    options = parser.parse_args()
    if options.lines is not None and options.lines < 1:
        parser.error("--lines must be at least 1")
    if options.capacity < 1:
        parser.error("--capacity must be at least 1")
    return options


def prefix() -> pathlib.Path:
    path = os.environ.get("TURTLE_PREFIX")
    if not path or not (pathlib.Path(path) / "bin/turtle").exists():
        raise SystemExit("demo: TURTLE_PREFIX names no installed copy; run `make demo`, which prepares one")
    return pathlib.Path(path)


def main() -> int:
    options = arguments()
    installed = prefix()
    folder = pathlib.Path(os.environ.get("TURTLE_TARGET", ROOT / "target")) / "demo"
    folder.mkdir(parents=True, exist_ok=True)
    # Rings are unlinked on the way out, also when this process is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    given = collect(folder, options.lines)
    print(
        f"Input: {len(given.lines):,} lines of {given.files:,} files in {sysconfig.get_path('stdlib')}; "
        f"a sequential pass found {given.words.total():,} words in {given.seconds:.1f} s"
    )
    print("Compiling the C++ producer against the installed library", flush=True)
    languages = {
        "C++": Language("C++", build_cpp(installed, folder)),
        "Rust": Language("Rust", installed / "bin/turtle"),
    }
    doctor = json.loads(subprocess.run([installed / "bin/turtle", "doctor", "--json"], check=True, capture_output=True).stdout)
    wanted = options.strategy.split(",") if options.strategy else None
    unknown = set(wanted or []) - {entry["name"] for entry in doctor["strategies"] if not entry["planned"]}
    if unknown:
        raise SystemExit(f"demo: there is no strategy called {', '.join(sorted(unknown))}")

    rows = []
    with open(folder / "producers.log", "wb") as log:
        for row, chosen in rounds(doctor, wanted, languages):
            print(f"{row.strategy}: {' and '.join(row.producers)} push, Python pops", flush=True)
            try:
                Driver(row, chosen, given, options).run(log)
            except (Wrong, turtle_buffers.TurtleError, OSError) as error:
                row.error = str(error)
                print(f"        WRONG: {error}", flush=True)
            rows.append(row)
    if not rows:
        print("demo: FAILED: no engine can use shared memory here")
        return 1
    print_table(rows)
    svg = folder / "demo.svg"
    svg.write_text(picture([row for row in rows if row.taken], options.capacity))
    print(f"  Picture: {svg}\n")
    wrong = [row for row in rows if row.error]
    if wrong:
        print(f"demo: FAILED: {len(wrong)} of {len(rows)} rounds were wrong: {wrong[0].strategy}: {wrong[0].error}")
        return 1
    print(
        f"demo: {len(rows)} rounds of {len(given.lines):,} lines: nothing lost, nothing twice, "
        "every word counted as in the sequential pass"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
