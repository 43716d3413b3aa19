"""CPython's own tests of `queue.Queue`, run against `RingBuffer`.

They are those of the interpreter that runs this (`test.test_queue`), so that each version asks what
it knows. What cannot apply is listed below with the reason, and everything else must pass.
"""

import importlib
import inspect
import queue
import types
import unittest
from typing import Any

import pytest

import turtle_buffers
from helpers import MANY
from turtle_buffers import RingBuffer

try:
    theirs: Any = importlib.import_module("test.test_queue")
except ImportError as missing:
    pytest.skip(
        f"the interpreter comes without its tests ({missing}); Debian: libpython3-testsuite",
        allow_module_level=True,
    )

# Test of the mixin (or of its class for Queue) -> why it does not apply.
NOT_APPLICABLE = {
    "test_shrinking_queue": "changes maxsize while the queue is in use: a ring's memory is its size",
}
# What the classes besides those of queue.Queue test.
OTHER_CLASSES = {
    "LifoQueueTest": "another order",
    "PriorityQueueTest": "another order",
    "SimpleQueueTest": "unbounded",
    "FailingQueueTest": "a subclass of queue.Queue that overrides _put and _get, which are its insides",
}


class Bounded(RingBuffer[Any]):
    """Where they ask for an unbounded queue, one that holds all they ever put into it."""

    def __new__(cls, maxsize: int = 0, **more: Any) -> "Bounded":
        return super().__new__(cls, maxsize or 2**17, **more)


Bounded.__name__ = "Queue"  # they look up the order that is due by this name


def adapted(strategy: str) -> type[unittest.TestCase]:
    """Their cases for queue.Queue, with our ring as the module's Queue."""
    mixins = [
        getattr(theirs, name)
        for name in ("BaseQueueTestMixin", "QueueTest")
        if inspect.isclass(getattr(theirs, name, None))
    ]
    base = next(
        (mixin for mixin in mixins if not issubclass(mixin, unittest.TestCase)),
        theirs.BlockingTestMixin,
    )
    # What code that uses `queue` catches.
    module = types.SimpleNamespace(
        Queue=Bounded,
        Full=queue.Full,
        Empty=queue.Empty,
        ShutDown=getattr(queue, "ShutDown", turtle_buffers.ShutDown),
    )

    class Cases(base, unittest.TestCase):  # type: ignore[misc]
        type2test = Bounded
        queue = module

        def setUp(self) -> None:
            # Their setUp makes the class of the module that is tested.
            super().setUp()
            self.type2test = lambda maxsize=0: Bounded(maxsize, strategy=strategy)
            self.Full, self.Empty = module.Full, module.Empty

    Cases.__qualname__ = Cases.__name__ = f"Queue_{strategy}"
    return Cases


# Their tests put and get from several threads: engines with many sides.
SUITES = {strategy: adapted(strategy) for strategy in MANY}
NAMES = [
    (strategy, name)
    for strategy, cases in SUITES.items()
    for name in unittest.TestLoader().getTestCaseNames(cases)
]


@pytest.mark.parametrize(("strategy", "name"), [pair for pair in NAMES if pair[1] not in NOT_APPLICABLE])
def test_theirs(strategy: str, name: str) -> None:
    case = SUITES[strategy](name)
    result = unittest.TestResult()
    case.run(result)
    for _, text in result.skipped:
        pytest.skip(text)
    problems = [text for _, text in result.failures + result.errors]
    assert result.testsRun == 1 and not problems, "\n".join(problems)


def test_the_cases_are_there() -> None:
    """If they move to other names in a later version, this notices."""
    names = {name for _, name in NAMES} - set(NOT_APPLICABLE)
    assert {"test_basic", "test_negative_timeout_raises_exception", "test_queue_join"} <= names, names


def test_every_other_class_is_accounted_for() -> None:
    kinds = [name for name, what in vars(theirs).items() if inspect.isclass(what) and issubclass(what, unittest.TestCase)]
    for name in kinds:
        stem = name.removeprefix("Py").removeprefix("C")
        assert stem == "QueueTest" or any(stem in known for known in OTHER_CLASSES), f"{name}: applicable, or why not?"
