"""The exceptions of turtle_buffers.

Code that catches `queue.Full`, `queue.Empty` and, from Python 3.13, `queue.ShutDown` goes on
working. What is wrong with an argument or with the system is a builtin exception: ValueError,
FileExistsError, FileNotFoundError, PermissionError, MemoryError, NotImplementedError; a side
that another thread owns, and a ring of a parent process, are a RuntimeError.
"""

import queue
import sys

__all__ = [
    "Busy",
    "Corrupt",
    "Empty",
    "Full",
    "Interrupted",
    "Mismatch",
    "ShutDown",
    "TurtleError",
]


class TurtleError(Exception):
    """What all exceptions of this package have in common."""


class Full(TurtleError, queue.Full):
    """The ring had no room, or had none until the time was up."""


class Empty(TurtleError, queue.Empty):
    """The ring had no item, or had none until the time was up."""


class Busy(Full, Empty):
    """Another call is halfway through the next slot, and a call that must not wait gave up.

    Only the engine "turn" says so, never the default one. Which of `Full` and `Empty` is true
    cannot be known before the other call goes on, so it is both: code that catches either and tries
    again later does the right thing.
    """


if sys.version_info >= (3, 13):

    class ShutDown(TurtleError, queue.ShutDown):
        """The ring has been shut down (and, for a get, all items were taken)."""

else:

    class ShutDown(TurtleError):
        """The ring has been shut down (and, for a get, all items were taken)."""


class Interrupted(TurtleError):
    """`interrupt()` ended the wait; nothing was put or taken."""


class Mismatch(TurtleError, ValueError):
    """The shared ring of that name differs from what was asked for; the text names both."""


class Corrupt(TurtleError, OSError):
    """What has that name is no ring of this library, or a damaged one."""
