"""One bounded FIFO, many engines: rings for the threads of a process and between processes.

`RingBuffer` holds any objects and does what `queue.Queue` does; `SharedRingBuffer` holds bytes,
NumPy data or pickled objects in shared memory, for any process that knows its name. Both have the same calls: `put`, `get`,
their `_nowait` and `_many` forms, timeouts in seconds, `shutdown`, iteration, `stats`; in
coroutines `aput`, `aget` and `async for`.

>>> ring = RingBuffer(2)
>>> ring.put("one"); ring.put("two")
>>> ring.put_nowait("three")
Traceback (most recent call last):
    ...
turtle_buffers.errors.Full: the ring is full
>>> ring.shutdown()
>>> list(ring)
['one', 'two']

`python -m turtle_buffers` says which engines there are and whether they work here.
"""

import turtle_buffers.aio  # gives the rings the methods for coroutines
from turtle_buffers._turtle import (
    Claim,
    Peek,
    Recovered,
    RingBuffer,
    SharedRingBuffer,
    __version__,
    strategies,
    unlink,
)
from turtle_buffers.errors import (
    Busy,
    Corrupt,
    Empty,
    Full,
    Interrupted,
    Mismatch,
    ShutDown,
    TurtleError,
)

__all__ = [
    "Busy",
    "Claim",
    "Corrupt",
    "Empty",
    "Full",
    "Interrupted",
    "Mismatch",
    "Peek",
    "Recovered",
    "RingBuffer",
    "SharedRingBuffer",
    "ShutDown",
    "TurtleError",
    "__version__",
    "strategies",
    "unlink",
]
