"""Waiting in coroutines: `aput`, `aget`, their `_many` forms and `async for`, without a thread.

These are methods of `RingBuffer` and `SharedRingBuffer`; the package puts them there. The call
itself is always one of the `_nowait` calls, made by the coroutine that gets its answer, and
nothing is awaited after it. So a cancelled `aget` has taken nothing, and a cancelled `aput` has
put nothing: cancellation comes in while they wait, and waiting holds no item.

Who waits for an item watches the ring's event descriptor. There is one for all loops of a
process, which is enough, because only the answer `Empty` makes it quiet: then there was nothing
for any loop, and what comes later makes it readable for all of them.

Who waits for room has no descriptor to watch: the library rings for items only. It looks again
when a coroutine of this process takes something, and otherwise after 1 ms, 2 ms, ... 10 ms. Ten
milliseconds is also how often a thread that sleeps on a shared ring looks by itself.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Any

from turtle_buffers._turtle import _Ring
from turtle_buffers.errors import Empty, Full, Interrupted, ShutDown

if TYPE_CHECKING:  # it takes longer to import than all of this package; who waits here has it
    import asyncio
    from collections.abc import Callable, Iterable

# How long to wait for room before looking again, in seconds.
FIRST_LOOK = 0.001
LAST_LOOK = 0.010


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop of this thread; RuntimeError without one."""
    import asyncio

    return asyncio.get_running_loop()


class Line:
    """The coroutines of one event loop that wait on one side of one ring, the oldest first."""

    def __init__(self, loop: asyncio.AbstractEventLoop, leave: Callable[[], object]) -> None:
        self.loop = loop
        self._leave = leave
        self._waiting: OrderedDict[object, asyncio.Future[None]] = OrderedDict()
        self._watching = False

    async def wait(self, ring: Any, call: Callable[[], Any]) -> Any:
        """Do `call`, which was refused just now, again and again until it answers."""
        interrupts = ring._interrupts
        place = object()
        try:
            while True:
                # Whoever looked in vain keeps its place in the line.
                turn = self._waiting[place] = self.loop.create_future()
                if not self._watching:
                    self.watch()
                    self._watching = True
                await turn
                try:
                    return call()
                except (Empty, Full):
                    if ring._interrupts != interrupts:
                        raise Interrupted("interrupt() ended the wait") from None
        finally:
            del self._waiting[place]
            self.left()
            if self._waiting:
                pass
            elif self.loop.is_closed():
                self._rest()
            else:
                # Later: most come back at once, and to watch anew costs system calls.
                self.loop.call_soon(self._rest)

    def wake(self) -> None:
        """Let the oldest look again. One at a time: the next one if it is still worth it."""
        for turn in self._waiting.values():
            if not turn.done():
                turn.set_result(None)
            break

    def wake_all(self) -> None:
        """Let everybody look again."""
        for turn in self._waiting.values():
            if not turn.done():
                turn.set_result(None)

    def soon(self, wake: Callable[[], None]) -> None:
        """`wake` from any thread. A loop that is closed has nobody to wake."""
        try:
            here = running_loop() is self.loop
        except RuntimeError:
            here = False
        if here:
            wake()
            return
        try:
            self.loop.call_soon_threadsafe(wake)
        except RuntimeError:
            self._leave()

    def _rest(self) -> None:
        if not self._waiting and self._watching:
            self._watching = False
            self.unwatch()
            self._leave()

    def watch(self) -> None:
        """Begin to call `wake` whenever it is worth it."""
        raise NotImplementedError

    def unwatch(self) -> None:
        """Nobody waits."""
        raise NotImplementedError

    def left(self) -> None:
        """One has done its call, or given up."""


class ForItems(Line):
    """They are woken when the descriptor is readable, and again as long as it is."""

    def __init__(self, watched: Any, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._watched = watched
        self._descriptor = -1

    def watch(self) -> None:
        # One of our own: a loop takes one reader for a descriptor, and the ring's may be in use.
        self._descriptor = os.dup(self._watched.fileno())
        self.loop.add_reader(self._descriptor, self.wake)

    def unwatch(self) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(self._descriptor)
        os.close(self._descriptor)


class ForRoom(Line):
    """They are woken when a coroutine of this process took an item, and by the clock."""

    _timer: asyncio.TimerHandle
    _delay = FIRST_LOOK

    def watch(self) -> None:
        self._delay = FIRST_LOOK
        self._timer = self.loop.call_later(self._delay, self._look)

    def _look(self) -> None:
        self.wake()
        self._delay = min(2 * self._delay, LAST_LOOK)
        self._timer = self.loop.call_later(self._delay, self._look)

    def unwatch(self) -> None:
        self._timer.cancel()

    def left(self) -> None:
        self._delay = FIRST_LOOK
        self.wake()  # there may be room for the next one, too


class Awaited:
    """Who waits for one ring in coroutines. Made by the ring, and kept by it."""

    def __init__(self, watched: Any) -> None:
        self._watched = watched
        # Each entry is used by the thread of its loop only. Looking through them is for all.
        self._items: dict[asyncio.AbstractEventLoop, ForItems] = {}
        self._room: dict[asyncio.AbstractEventLoop, ForRoom] = {}

    def items(self) -> Line:
        """Those of the running loop who wait for an item."""
        loop = running_loop()
        if (line := self._items.get(loop)) is None:
            line = ForItems(self._watched, loop, lambda: self._items.pop(loop, None))
            self._items[loop] = line
        return line

    def room(self) -> Line:
        """Those of the running loop who wait for room."""
        loop = running_loop()
        if (line := self._room.get(loop)) is None:
            line = self._room[loop] = ForRoom(loop, lambda: self._room.pop(loop, None))
        return line

    def taken(self) -> None:
        """An item was taken by a coroutine: there is room."""
        for line in list(self._room.values()):
            line.soon(line.wake)

    def wake_all(self) -> None:
        """Everybody looks again: the ring was shut down, closed or interrupted. Any thread."""
        for line in [*self._items.values(), *self._room.values()]:
            line.soon(line.wake_all)


async def _get(ring: Any, call: Callable[[], Any]) -> Any:
    refused = False
    try:
        answer = call()
    except Empty:
        refused = True  # left before waiting: it is not the context of what comes later
    if refused:
        answer = await ring._await().items().wait(ring, call)
    if (awaited := ring._awaited) is not None and awaited._room:
        awaited.taken()
    return answer


async def _put(ring: Any, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Full:
        pass
    return await ring._await().room().wait(ring, call)


async def aput(self: Any, item: Any) -> None:
    """Append an item; a coroutine that waits for room without holding up its loop.

    Cancelled, it has put nothing. While others take items by coroutines of this process it
    goes on at once; otherwise it looks for room every 10 ms at the latest.

    Raises: as `put`, without `Full`. For a limit: `async with asyncio.timeout(seconds)`.

    >>> async def hand_over():
    ...     ring = turtle_buffers.RingBuffer(1)
    ...     async with asyncio.TaskGroup() as tasks:
    ...         tasks.create_task(ring.aput("one"))
    ...         tasks.create_task(ring.aput("two"))
    ...         return await ring.aget(), await ring.aget()
    >>> import asyncio; asyncio.run(hand_over())
    ('one', 'two')
    """
    await _put(self, partial(self.put_nowait, item))


async def aget(self: Any) -> Any:
    """Take the oldest item; a coroutine that waits for one without holding up its loop.

    Cancelled, it has taken nothing: no item is lost. No thread is made. Any number of coroutines,
    of any number of loops and threads, may wait for one ring; on "spsc" all of one thread.

    Raises: as `get`, without `Empty`. For a limit: `async with asyncio.timeout(seconds)`.

    >>> ring = turtle_buffers.RingBuffer(4)
    >>> ring.put("item")
    >>> import asyncio; asyncio.run(ring.aget())
    'item'
    """
    return await _get(self, self.get_nowait)


async def aput_many(self: Any, items: Iterable[Any]) -> int:
    """Append many items in order, waiting as `aput` does, and say how many were appended.

    Fewer than all are when the ring is shut down or interrupted meanwhile. Cancelled, it has put
    the first few of them, or none; where it matters how many, use `aput` for each.

    Raises: what `put` raises, if not a single item was appended.
    """
    rest: Any = items if hasattr(items, "__getitem__") else list(items)  # what can be cut
    done = 0
    while done < len(rest):
        try:
            done += await _put(self, partial(self.put_many, rest[done:], False))
        except (ShutDown, Interrupted):
            if not done:
                raise
            break
    return done


async def aget_many(self: Any, max_items: int) -> Any:
    """Wait for one item as `aget` does, then take up to `max_items` that are there.

    Raises: as `aget`.
    """
    return await _get(self, partial(self.get_many, max_items, False))


def _aiter(self: Any) -> Any:
    """Iterate over the items in a coroutine; ends when the ring has been shut down and drained."""
    return self


async def _anext(self: Any) -> Any:
    try:
        return await aget(self)
    except ShutDown:
        raise StopAsyncIteration from None


def install(ring: type[_Ring]) -> None:
    """Make these methods of all rings."""
    for method in (aput, aget, aput_many, aget_many):
        method.__qualname__ = f"{ring.__name__}.{method.__name__}"
        setattr(ring, method.__name__, method)
    # Looked up on the class, so a subclass is not needed, which would make every call slower.
    for name, method in (("__aiter__", _aiter), ("__anext__", _anext)):
        setattr(ring, name, method)


install(_Ring)
