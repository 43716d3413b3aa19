#!/usr/bin/env python3
"""The documents: each quick start of the README is the file that the tests run, each block of code of a language's page
is part of such a file, and every relative link leads somewhere."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK_STARTS = [
    "examples/quickstart.rs",
    "bindings/c/examples/quickstart.c",
    "cpp_examples/quickstart.cpp",
    "python/examples/quickstart.py",
]
# page | language of its blocks | files that the tests build and run
SNIPPETS = [
    ("docs/cpp.md", "cpp", ["cpp_examples/guide.cpp", "cpp_examples/guide_new.cpp", "cpp_examples/start/start.cpp"]),
    ("docs/cpp.md", "cmake", ["cpp_examples/start/CMakeLists.txt"]),
]
MOST_LINES = 200
NOT_OURS = {"target", "build", "dist", "node_modules"}
FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings: lower case, no punctuation, dashes for spaces."""
    found = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in found}


def broken_links(document: pathlib.Path) -> list[str]:
    """Relative links of a document whose file or heading is not there."""
    wrong = []
    prose = re.sub(r"`[^`\n]*`(?!\])", "", FENCED.sub("", document.read_text()))
    for link in LINK.findall(prose):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        there = (document.parent / path).resolve() if path else document
        name = document.relative_to(ROOT)
        if not there.exists():
            wrong.append(f"{name}: {link} is not there")
        elif anchor and there.suffix == ".md" and anchor not in anchors(there.read_text()):
            wrong.append(f"{name}: {link}: no such heading")
    return wrong


def loose_snippets(page: str, language: str, sources: list[str]) -> list[str]:
    """Blocks of a page that are no consecutive lines of its sources, however deep those are indented there."""
    programs = ["\n" + "\n".join(map(str.strip, (ROOT / name).read_text().splitlines())) + "\n" for name in sources]
    blocks = [text for word, text in BLOCK.findall((ROOT / page).read_text()) if word == language]
    if not blocks:
        return [f"{page}: no block of {language}"]
    return [
        f"{page}: these lines are in none of {', '.join(sources)}:\n{text}"
        for text in blocks
        if not any("\n" + "\n".join(map(str.strip, text.splitlines())) + "\n" in program for program in programs)
    ]


def main() -> int:
    """Check everything and say what is wrong."""
    readme = (ROOT / "README.md").read_text()
    blocks = FENCED.findall(readme)
    wrong = [
        f"README.md: no block equals {name}"
        for name in QUICK_STARTS
        if (ROOT / name).read_text() not in blocks
    ]
    for page in SNIPPETS:
        wrong += loose_snippets(*page)
    if (lines := readme.count("\n")) > MOST_LINES:
        wrong.append(f"README.md has {lines} lines, {MOST_LINES} at most")
    documents = [
        path
        for path in sorted(ROOT.rglob("*.md"))
        if not any(part in NOT_OURS or part.startswith(".") for part in path.relative_to(ROOT).parts)
    ]
    for document in documents:
        wrong += broken_links(document)
    print("\n".join(wrong) or f"{len(QUICK_STARTS)} quick starts, {len(documents)} documents: nothing wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
