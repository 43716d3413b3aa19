"""C++ ticks in, Python statistics out: a C++ struct and its NumPy dtype share one ring.

    python plot.py PRODUCER [COUNT [FILE.svg]]

PRODUCER is produce.cpp, built. Matplotlib draws the picture if it is there; if not, this does.
"""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from turtle_buffers import Empty, SharedRingBuffer, ShutDown

# align=True lays the fields out as C does; ticks.hpp has the same as a struct.
TICK = np.dtype([("time", "i8"), ("price", "f8"), ("size", "i4"), ("side", "S1")], align=True)
POINTS = 400


def collect(producer: str, count: int) -> npt.NDArray[np.void]:
    """All ticks of the other program."""
    batches = []
    with SharedRingBuffer(f"/ticks-{os.getpid()}", 1024, dtype=TICK, create=True) as ring:
        try:
            child = subprocess.Popen([producer, ring.name, str(count)])
            while True:
                try:
                    batches.append(ring.get_many(256, timeout=1))  # what is there, by one copy
                except Empty:
                    if child.poll() is not None:  # it ended, and did not say so
                        break
                except ShutDown:
                    break
            if child.wait() != 0:
                raise SystemExit(f"{producer} failed with status {child.returncode}")
        finally:
            ring.unlink()
    return np.concatenate(batches) if batches else np.empty(0, TICK)


def draw(ticks: npt.NDArray[np.void], file: Path) -> str:
    """The price over time as SVG; answers who drew it."""
    some = ticks[:: max(1, len(ticks) // POINTS)]
    try:
        matplotlib = importlib.import_module("matplotlib")
    except ModuleNotFoundError:
        pass
    else:
        matplotlib.use("svg")
        figure, axes = importlib.import_module("matplotlib.pyplot").subplots()
        axes.plot(some["time"] / 1e6, some["price"])
        axes.set(xlabel="time, ms", ylabel="price")
        figure.savefig(file)
        return "matplotlib"
    low, high = some["price"].min(), some["price"].max()
    x = np.linspace(40, 620, len(some))
    y = 200 - 180 * (some["price"] - low) / max(high - low, 1e-9)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    file.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 230" font-family="sans-serif" font-size="11">'
        f'<polyline points="{points}" fill="none" stroke="#269"/>'
        f'<text x="2" y="24">{high:.2f}</text><text x="2" y="204">{low:.2f}</text>'
        f'<text x="40" y="222">{len(ticks):,} ticks, {ticks["time"][-1] / 1e6:.1f} ms</text></svg>\n',
        encoding="utf-8",
    )
    return "this program"


def main() -> None:
    producer = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 100_000
    file = Path(sys.argv[3] if len(sys.argv) > 3 else "ticks.svg")
    ticks = collect(producer, count)
    bought = ticks["side"] == b"B"
    volume = int(ticks["size"].sum())
    average = float((ticks["price"] * ticks["size"]).sum() / volume)
    print(f"ticks {len(ticks)}, volume {volume}, bought {int(ticks['size'][bought].sum())}")
    print(f"average price {average:.4f}, deviation {ticks['price'].std():.4f}")
    print(f"{file} drawn by {draw(ticks, file)}")


if __name__ == "__main__":
    main()
