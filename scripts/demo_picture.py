"""The demo's picture: an SVG that follows the reader's light or dark scheme and needs nothing else."""

from __future__ import annotations

import html
import math
from typing import Any

STYLE = """
  svg { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --grid: #d5dae0; --paper: #ffffff;
        --c0: #0b62c4; --c1: #b35900; --depth: #6b4fa0; --kill: #c0262d; }
  @media (prefers-color-scheme: dark) {
    svg { --ink: #e6e9ed; --soft: #9aa4af; --grid: #363d45; --paper: #14171a;
          --c0: #6db3ff; --c1: #ffa654; --depth: #c0a6f5; --kill: #ff7b7b; } }
  text { font: 13px system-ui, sans-serif; fill: var(--ink); }
  .soft { fill: var(--soft); font-size: 12px; } .title { font-weight: 600; font-size: 14px; }
  .grid { stroke: var(--grid); } .line { fill: none; stroke-width: 2; }
"""


def ticks(top: float, parts: int = 4) -> list[float]:
    """Round numbers from 0 to at least `top`."""
    unit = 10.0 ** math.floor(math.log10(top / parts))
    step = next(unit * m for m in (1, 2, 2.5, 5, 10) if unit * m * parts >= top)
    return [i * step for i in range(math.ceil(top / step) + 1)]


class Panel:
    """A chart with axes from 0, in a rectangle of the picture."""

    def __init__(self, x: float, y: float, width: float, height: float, right: float, ys: list[float]) -> None:
        self.x, self.y, self.width, self.height = x, y, width, height
        self.right, self.top = right, ys[-1] or 1
        xs = [value for value in ticks(right) if value <= right]
        self.parts = []
        for value in ys:
            at = self.at(0, value)[1]
            self.parts.append(f'<line class="grid" x1="{x}" x2="{x + width}" y1="{at:.1f}" y2="{at:.1f}"/>')
            self.parts.append(f'<text class="soft" x="{x - 8}" y="{at + 4:.1f}" text-anchor="end">{value:,.0f}</text>')
        for value in xs:
            at = self.at(value, 0)[0]
            self.parts.append(f'<text class="soft" x="{at:.1f}" y="{y + height + 16}" text-anchor="middle">{value:g}</text>')

    def at(self, x: float, y: float) -> tuple[float, float]:
        return self.x + x / self.right * self.width, self.y + self.height - y / self.top * self.height

    def curve(self, points: list[tuple[float, float]], colour: str) -> None:
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in (self.at(*point) for point in points))
        self.parts.append(f'<polyline class="line" stroke="var(--{colour})" points="{path}"/>')


def picture(rows: list[Any], capacity: int) -> str:
    """Lines over time by producer, and how full the ring was: one pair of charts a round.

    `rows` are the demo's rounds that have a result.
    """
    each, width = 300, 860
    parts = []
    for n, row in enumerate(rows):
        y, points = 50 + n * each, row.taken.points
        end = max(points[-1][0], 1e-3)
        most = max(max(point[1]) for point in points)
        quarters = [capacity * i / 4 for i in range(5)] if capacity % 4 == 0 else [0.0, float(capacity)]
        left = Panel(90, y + 34, 400, 190, end, ticks(most))
        right = Panel(580, y + 34, 260, 190, end, quarters)
        title = html.escape(f"{row.strategy}: {' + '.join(row.producers)} → Python")
        parts.append(f'<text class="title" x="24" y="{y}">{title}</text>')
        parts.append(f'<text class="soft" x="90" y="{y + 22}">lines taken, by producer</text>')
        parts.append(f'<text class="soft" x="580" y="{y + 22}">elements in the ring</text>')
        ends = []
        for i, name in enumerate(row.producers):
            colour = "c0" if name == "C++" else "c1"
            left.curve([(point[0], point[1][i]) for point in points], colour)
            ends.append(f'<tspan fill="var(--{colour})">■</tspan> {name}  ')
        parts.append(f'<text x="480" y="{y}" text-anchor="end">{"".join(ends)}</text>')
        right.curve([(point[0], point[2]) for point in points], "depth")
        if row.killed_at is not None:
            at = left.at(row.killed_at - row.taken.first, 0)[0]
            left.parts.append(f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{left.y}" y2="{left.y + 190}" stroke="var(--kill)" stroke-dasharray="4 3"/>')
            left.parts.append(f'<text class="soft" x="{at + 5:.1f}" y="{left.y + 12}" fill="var(--kill)">killed</text>')
        for panel in (left, right):
            parts += panel.parts
            parts.append(f'<text class="soft" x="{panel.x + panel.width}" y="{y + 34 + 190 + 32}" text-anchor="end">seconds</text>')
    height = 40 + len(rows) * each
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img">'
        f"<title>turtle-buffers demo: lines over time and ring depth</title><style>{STYLE}</style>"
        f'<rect width="100%" height="100%" fill="var(--paper)"/>{"".join(parts)}</svg>\n'
    )
