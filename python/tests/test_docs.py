"""The examples in the documentation run, and the package describes itself truly."""

import doctest
import inspect
import json
import subprocess
import sys
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
