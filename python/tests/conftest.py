"""Fixtures: each engine, and names for shared rings that are cleaned up."""

import itertools
import os
from collections.abc import Iterator

import pytest

import turtle_buffers
from helpers import SHARED, STRATEGIES
from turtle_buffers import SharedRingBuffer

_numbers = itertools.count()


@pytest.fixture(params=STRATEGIES)
def strategy(request: pytest.FixtureRequest) -> str:
    """Each engine."""
    return str(request.param)


@pytest.fixture(params=SHARED)
def shared_strategy(request: pytest.FixtureRequest) -> str:
    """Each engine that works between processes."""
    return str(request.param)


@pytest.fixture
def name() -> Iterator[str]:
    """A name for a shared ring that nobody else uses; removed afterwards."""
    name = f"/turtle-test-{os.getpid()}-{next(_numbers)}"
    yield name
    try:
        turtle_buffers.unlink(name)
    except FileNotFoundError:
        pass


@pytest.fixture
def shared(name: str, shared_strategy: str) -> Iterator[SharedRingBuffer]:
    """A shared ring of 8 items of up to 32 bytes, on each engine."""
    with SharedRingBuffer(name, 8, 32, strategy=shared_strategy, create=True) as ring:
        yield ring
