"""The examples in the documentation run, and the package describes itself truly."""

import doctest
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import turtle_buffers
from turtle_buffers import _turtle

DOCUMENTED: list[Any] = [
    turtle_buffers,
    turtle_buffers.errors,
    turtle_buffers.strategies,
    turtle_buffers.unlink,
    _turtle._Ring,
    turtle_buffers.RingBuffer,
    turtle_buffers.SharedRingBuffer,
    turtle_buffers.Claim,
    turtle_buffers.Peek,
    turtle_buffers.Recovered,
]


def methods(what: Any) -> list[tuple[str, Any]]:
    """The object, and the public methods that it defines itself."""
    found = [(getattr(what, "__name__", repr(what)), what)]
    if inspect.isclass(what):
        for key, value in vars(what).items():
            if not key.startswith("_"):
                found.append((f"{what.__name__}.{key}", value))
    return found


PLACES = dict(place for what in DOCUMENTED for place in methods(what))


@pytest.mark.parametrize("where", PLACES)
def test_it_is_documented_and_its_examples_run(where: str) -> None:
    text = inspect.getdoc(PLACES[where])
    assert text, f"{where} has no docstring"
    names = dict(vars(turtle_buffers), turtle_buffers=turtle_buffers)
    test = doctest.DocTestParser().get_doctest(text, names, where, None, None)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=report.append)
    assert not report, "".join(report)


def test_there_are_examples() -> None:
    parser = doctest.DocTestParser()
    with_examples = [
        where for where, what in PLACES.items() if parser.get_examples(inspect.getdoc(what) or "")
    ]
    assert {"turtle_buffers", "RingBuffer", "SharedRingBuffer"} <= set(with_examples)


def test_all_is_there() -> None:
    assert sorted(turtle_buffers.__all__) == list(turtle_buffers.__all__) or turtle_buffers.__all__
    for name in turtle_buffers.__all__:
        assert hasattr(turtle_buffers, name)


def test_engines_say_what_they_promise() -> None:
    engines = turtle_buffers.strategies()
    assert [engine["name"] for engine in engines][:2] == ["turn", "spsc"]
    for engine in engines:
        assert engine["producers"] in ("one", "many") and engine["consumers"] in ("one", "many")
        assert engine["returns"] and engine["stopped_thread"] and engine["source"]


def test_the_module_reports() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "turtle_buffers"], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert turtle_buffers.__version__ in done.stdout
    for engine in turtle_buffers.strategies():
        assert engine["name"] in done.stdout
    assert "FAILED" not in done.stdout

    done = subprocess.run(
        [sys.executable, "-m", "turtle_buffers", "--json"], capture_output=True, text=True, timeout=120
    )
    facts = json.loads(done.stdout)
    assert facts["version"] == turtle_buffers.__version__
    assert all(engine["threads"] == "works" for engine in facts["engines"])


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "python.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_the_snippets_of_the_page_run(number: int, tmp_path: Path) -> None:
    """Each by itself, as somebody who pasted it into a file."""
    assert "assert" in SNIPPETS[number] or "except" in SNIPPETS[number], "it says nothing that could be wrong"
    file = tmp_path / "snippet.py"
    file.write_text(SNIPPETS[number], encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::SyntaxWarning", str(file)], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr + SNIPPETS[number]


def test_the_page_has_snippets_of_everything() -> None:
    assert len(SNIPPETS) >= 7
    for word in ("put_many", "claim", "peek", "get_into", "dtype=", "objects=True", "async for", "multiprocessing"):
        assert any(word in snippet for snippet in SNIPPETS), word


def test_the_calls_in_the_tables_are_there() -> None:
    """`ring.` is a RingBuffer in them, `shared.` a SharedRingBuffer."""
    calls = set(re.findall(r"\b(ring|shared)\.(\w+)", PAGE.partition("## From other queues")[2]))
    assert len(calls) >= 20
    kinds = {"ring": turtle_buffers.RingBuffer, "shared": turtle_buffers.SharedRingBuffer}
    for kind, call in calls:
        assert hasattr(kinds[kind], call), f"{kind}.{call}"


def test_every_exception_is_in_the_table() -> None:
    table = PAGE.partition("## Errors")[2].partition("## ")[0]
    for name in turtle_buffers.errors.__all__:
        assert f"`{name}`" in table, name
