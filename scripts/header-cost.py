#!/usr/bin/env python3
"""What turtle.hpp costs a compiler beyond the standard headers that it includes: header-cost.py FOLDER INCLUDE

FOLDER has standard.hpp with those headers alone, and alone.cpp with turtle.hpp. INCLUDE is where turtle.hpp is installed.
"""

import resource
import shutil
import subprocess
import sys

LIMIT_MS = 100


def cpu_ms(compiler: str, standard: str, include: str, source: str) -> float:
    """The least processor time of several runs: other work on the machine only adds to it."""
    command = [compiler, f"-std=c++{standard}", "-x", "c++", "-fsyntax-only", "-w", f"-I{include}", source]
    runs = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        runs.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return 1000 * min(runs)


def main() -> int:
    """Measure every compiler that is there and say whether one takes too long."""
    folder, include = sys.argv[1:]
    compilers = [name for name in ("g++", "clang++") if shutil.which(name)]
    worst = 0.0
    for compiler in compilers:
        for standard in ("17", "2b"):
            bare, full = (cpu_ms(compiler, standard, include, f"{folder}/{name}") for name in ("standard.hpp", "alone.cpp"))
            print(f"{compiler} C++{standard}: {full:.0f} ms, {bare:.0f} ms of it for standard headers: {full - bare:.0f} ms more")
            worst = max(worst, full - bare)
    if not compilers or worst > LIMIT_MS:
        print(f"turtle.hpp costs {worst:.0f} ms more than the headers it includes; the limit is {LIMIT_MS} ms")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
