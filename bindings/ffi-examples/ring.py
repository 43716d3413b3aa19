"""turtle from Python without the wheel, through ctypes: python3 ring.py [path of libturtle.so]"""

import ctypes as c
import os
import sys


class Options(c.Structure):
    """turtle_options."""

    _fields_ = [("struct_size", c.c_size_t), ("strategy", c.c_uint32), ("flags", c.c_uint32),
                ("durability", c.c_uint32), ("max_threads", c.c_uint32), ("capacity", c.c_size_t),
                ("elem_size", c.c_size_t), ("elem_align", c.c_size_t), ("path", c.c_char_p), ("drop", c.c_void_p),
                ("drop_ctx", c.c_void_p), ("mode", c.c_uint32), ("patience", c.c_uint32)]


CLOSED, FOREVER = 4, 2**64 - 1
turtle = c.CDLL(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("TURTLE_LIB", "libturtle.so.0"))
turtle.turtle_last_error.restype = c.c_char_p
turtle.turtle_free.restype = None
# Without these, ctypes passes 32 bits of what C expects to be 64.
turtle.turtle_free.argtypes = turtle.turtle_close.argtypes = [c.c_void_p]
turtle.turtle_try_push.argtypes = [c.c_void_p, c.c_void_p]
turtle.turtle_try_push_n.argtypes = [c.c_void_p, c.c_void_p, c.c_size_t, c.c_void_p]
turtle.turtle_pop_n.argtypes = [c.c_void_p, c.c_void_p, c.c_size_t, c.c_uint64, c.c_void_p]


def ok(status: int) -> None:
    """Raises what the library says."""
    if status != 0:
        raise RuntimeError(f"status {status}: {turtle.turtle_last_error().decode()}")


options, ring, done = Options(), c.c_void_p(), c.c_size_t()
ok(turtle.turtle_options_init(c.byref(options)))
options.capacity = 1000
ok(turtle.turtle_open(c.byref(options), c.byref(ring)))

# One element, then the rest in one call: a batch costs one foreign call, not one an element.
ok(turtle.turtle_try_push(ring, c.byref(c.c_uint64(1))))
ok(turtle.turtle_try_push_n(ring, (c.c_uint64 * 999)(*range(2, 1001)), 999, c.byref(done)))
assert done.value == 999
ok(turtle.turtle_close(ring))

popped: list[int] = []
batch = (c.c_uint64 * 64)()
while (status := turtle.turtle_pop_n(ring, batch, 64, FOREVER, c.byref(done))) != CLOSED:
    ok(status)
    popped += batch[: done.value]
assert popped == list(range(1, 1001))
turtle.turtle_free(ring)
print(f"ctypes: 1000 elements, sum {sum(popped)}")
