"""Say what this installation is, which engines it has, and whether they work here.

    python -m turtle_buffers [--json]

The exit status is 1 if something that should work does not.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import turtle_buffers
from turtle_buffers import RingBuffer, SharedRingBuffer, _turtle


def try_engine(name: str) -> str:
    """Pass items through a private ring; "works", or what went wrong."""
    ring: RingBuffer[int] = RingBuffer(4, strategy=name)
    ring.put_many([1, 2, 3])
    ring.shutdown()
    got = list(ring)
    return "works" if got == [1, 2, 3] else f"FAILED: {got}"


def try_shared(name: str) -> str:
    """Pass items through a shared ring; "works", or why it cannot be had."""
    path = f"/turtle-check-{name}-{os.getpid()}"
    try:
        with SharedRingBuffer(path, 4, 16, strategy=name, create=True) as ring:
            try:
                ring.put_many([b"1", b"2", b"3"])
                ring.shutdown()
                got = list(ring)
            finally:
                ring.unlink()
    except (OSError, MemoryError, NotImplementedError) as error:
        return f"not here: {error}"
    return "works" if got == [b"1", b"2", b"3"] else f"FAILED: {got}"


def report() -> dict[str, Any]:
    """Everything that is printed, as data."""
    gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    engines = turtle_buffers.strategies()
    for engine in engines:
        engine["threads"] = try_engine(engine["name"])
        engine["processes"] = try_shared(engine["name"]) if engine["shared"] else "not meant to"
    return {
        "version": turtle_buffers.__version__,
        "module": str(Path(_turtle.__file__)),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "gil": gil,
        "machine": _turtle._machine(),
        "engines": engines,
    }


def gibibytes(size: int) -> str:
    """A size for people."""
    return f"{size / 2**30:.1f} GiB"


def show(facts: dict[str, Any]) -> None:
    """Print the report for people."""
    machine = facts["machine"]
    lock = "with" if facts["gil"] else "without"
    print(f"turtle-buffers {facts['version']}, {facts['python']} {lock} interpreter lock")
    print(f"  module   {facts['module']}")
    print(f"  system   {machine['system']}, kernel {machine['kernel']}, {machine['cores']} cores")
    if machine["shared_memory"] is None:
        print("  memory   shared memory: none found")
    else:
        total, free = machine["shared_memory"]
        room = f"{gibibytes(free)} free of {gibibytes(total)}" if total else "no limit"
        print(f"  memory   shared memory: {room}")
    for ok, what in zip(machine["barrier"], ("threads", "processes"), strict=True):
        how = "asymmetric barrier" if ok else "not available: sleepers look again every 1 ms"
        print(f"  waiting  between {what}: {how}")
    for engine in facts["engines"]:
        print(f"  engine   {engine['name']}: {engine['producers']} to {engine['consumers']}")
        print(f"             threads: {engine['threads']}; processes: {engine['processes']}")
        print(f"             a stopped thread {engine['stopped_thread']}")


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m turtle_buffers", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    facts = report()
    if arguments.json:
        print(json.dumps(facts, indent=2))
    else:
        show(facts)
    tried = [engine[how] for engine in facts["engines"] for how in ("threads", "processes")]
    failed = sum(answer.startswith("FAILED") for answer in tried)
    if failed:
        print(f"turtle-buffers: {failed} checks failed", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
