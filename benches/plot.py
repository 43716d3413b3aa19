#!/usr/bin/env python3
"""Draws a record's ratios as one SVG: `benches/plot.py RECORD.json > docs/numbers.svg`.

Rows of this library's engines against rivals, throughput and times alike turned so that right of
the line is better for this library; the thin line is the 95 % interval. Needs nothing but Python.
"""
import json
import math
import sys
from html import escape

WIDTH, LEFT, ROW, TOP = 940, 430, 19, 46
LOW, HIGH = 0.4, 40.0


def at(ratio: float) -> float:
    """The horizontal place of a ratio, on a logarithmic scale."""
    span = math.log(HIGH) - math.log(LOW)
    place = (math.log(min(max(ratio, LOW), HIGH)) - math.log(LOW)) / span
    return LEFT + place * (WIDTH - LEFT - 70)


def rows(record: dict) -> list[tuple[str, float, float, float, bool | None]]:
    """Label, median, low, high, whether a bar holds; better is always more."""
    found = []
    for row in record["rows"]:
        for line in row["lines"]:
            if not line["subject"].startswith(("turn", "spsc")) or line["metric"]["figure"] != "ratio":
                continue
            estimate = line["estimate"]
            median, low, high = estimate["median"], estimate["low"], estimate["high"]
            if line["metric"]["name"] != "throughput":
                median, low, high = 1 / median, 1 / high, 1 / low
            name = line["metric"]["name"].replace("throughput", "")
            label = f"{line['subject']} against {line['reference']}: {row['scenario']} {row['row']} {name}"
            found.append((label.strip(), median, low, high, line.get("holds")))
    return found


def draw(record: dict, name: str) -> str:
    """The whole picture."""
    lines = rows(record)
    height = TOP + ROW * len(lines) + 30
    machine = record["machine"]
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="12" y="18" font-size="13">Ratios to rivals in the same run; right of 1 is better. {escape(name)}</text>',
        f'<text x="12" y="34" fill="#555">{escape(machine["cpu"])}, {len(machine["allowed_cores"])} cores, '
        f'{record["reps"]} repetitions; orange: the bar of this row is missed</text>',
    ]
    for tick in (0.5, 1, 2, 4, 8, 16, 32):
        x = at(tick)
        stroke = "#333" if tick == 1 else "#ddd"
        out.append(f'<line x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{height - 24}" stroke="{stroke}"/>')
        out.append(f'<text x="{x:.1f}" y="{height - 8}" text-anchor="middle">{tick}</text>')
    for i, (label, median, low, high, holds) in enumerate(lines):
        y = TOP + ROW * i + 12
        colour = "#d66a00" if holds is False else "#0b6e4f"
        out.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        out.append(f'<line x1="{at(low):.1f}" y1="{y}" x2="{at(high):.1f}" y2="{y}" stroke="{colour}"/>')
        out.append(f'<circle cx="{at(median):.1f}" cy="{y}" r="4" fill="{colour}"/>')
        out.append(f'<text x="{WIDTH - 50}" y="{y + 4}">{median:.2f}</text>')
    out.append("</svg>\n")
    return "\n".join(out)


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    with open(sys.argv[1], encoding="utf-8") as file:
        record = json.load(file)
    sys.stdout.write(draw(record, sys.argv[1].rsplit("/", 1)[-1]))
