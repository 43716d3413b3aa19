#!/usr/bin/env python3
"""Writes a C file that defines every function of a header, with empty bodies: stub.py HEADER > stub.c

Compiled with debug information it is a shared library whose ABI is what the header promises, whatever compiler built
the real one.
"""

import re
import sys


def prototypes(header: str) -> list[tuple[str, str]]:
    """(result, rest) of each function: ("turtle_status", "turtle_open(const struct ... **out)")."""
    code = re.sub(r"/\*.*?\*/|//[^\n]*", " ", header, flags=re.S)
    code = re.sub(r"^[ \t]*#.*$", "", code, flags=re.M)
    code = re.sub(r'extern\s+"C"\s*\{', " ", code)
    code = re.sub(r"\{[^{}]*\}", " ", code)
    found = []
    for statement in code.split(";"):
        words = " ".join(statement.split())
        match = re.fullmatch(r"\W*((?:const )?\w+ ?\*?) ?(turtle_\w+\(.*\))", words)
        if match and not words.startswith("typedef"):
            found.append((match[1].strip(), match[2]))
    return found


def main() -> int:
    """Writes the stub; fails when the header seems to have no functions."""
    with open(sys.argv[1], encoding="utf-8") as file:
        functions = prototypes(file.read())
    if len(functions) < 10:
        print(f"stub.py: only {len(functions)} functions found in {sys.argv[1]}", file=sys.stderr)
        return 1
    print('#include "turtle.h"')
    for result, rest in functions:
        body = "" if result == "void" else "return 0;"
        print(f"{result} {rest} {{ {body} }}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
