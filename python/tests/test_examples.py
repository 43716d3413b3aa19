"""The examples: they run, and type checkers have nothing to say about them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "python" / "examples"
FILES = sorted(EXAMPLES.rglob("*.py"))


@pytest.fixture(scope="module")
def producer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`produce.cpp`, built against the C library of the same build."""
    target = Path(os.environ.get("TURTLE_TARGET", ""), "release")
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    if not (target / "libturtle.so").exists() or not target.is_absolute():
        pytest.skip("libturtle.so has not been built, or TURTLE_TARGET does not say where")
    folder = tmp_path_factory.mktemp("ticks")
    # The name that the library calls itself by is what the program will look for.
    soname = folder / "libturtle.so.0"
    soname.symlink_to(target / "libturtle.so")
    program = folder / "produce"
    subprocess.run(
        [compiler, "-std=c++17", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
        + [f"-I{ROOT / 'include'}", str(EXAMPLES / "ticks" / "produce.cpp"), str(soname)]
        + [f"-Wl,-rpath,{folder}", "-pthread", "-o", str(program)],
        check=True,
    )
    return program


def walk(count: int) -> list[tuple[float, int, bool]]:
    """What the producer sends, computed here."""
    chance, price, ticks = 1, 100.0, []
    for _ in range(count):
        chance = (chance * 1664525 + 1013904223) % 2**32
        up = bool(chance >> 16 & 1)
        price += 0.01 if up else -0.01
        ticks.append((price, (chance >> 24) + 1, up))
    return ticks


@pytest.mark.parametrize("matplotlib", ["as it is", "missing"])
def test_ticks(producer: Path, tmp_path: Path, matplotlib: str) -> None:
    count, picture = 20_000, tmp_path / "ticks.svg"
    environment = dict(os.environ)
    if matplotlib == "missing":
        (tmp_path / "matplotlib.py").write_text("raise ModuleNotFoundError('for the test')\n")
        environment["PYTHONPATH"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "ticks" / "plot.py"), str(producer), str(count), str(picture)],
        capture_output=True, text=True, env=environment, timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    ticks = walk(count)
    volume = sum(size for _, size, _ in ticks)
    average = sum(price * size for price, size, _ in ticks) / volume
    assert f"ticks {count}, volume {volume}, bought {sum(size for _, size, up in ticks if up)}\n" in done.stdout
    assert f"average price {average:.4f}" in done.stdout
    assert ElementTree.parse(picture).getroot().tag.endswith("svg")
    if matplotlib == "missing":
        assert "drawn by this program" in done.stdout


def test_a_producer_that_fails_is_noticed(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / "ticks" / "plot.py"), "false", "5", str(tmp_path / "x.svg")],
        capture_output=True, text=True, timeout=120,
    )
    assert done.returncode == 1 and "false failed with status 1" in done.stderr


def checked(tool: str, *command: str, **more: Any) -> None:
    done = subprocess.run([sys.executable, "-m", *command, *map(str, FILES)], capture_output=True, text=True, **more)
    if "No module named" in done.stderr:
        pytest.skip(f"{tool} is not installed")
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy_is_content() -> None:
    """As users run it, against the installed package."""
    checked("mypy", "mypy", "--strict", "--config-file=", cwd="/")


def test_pyright_is_content() -> None:
    environment = dict(os.environ, PYRIGHT_PYTHON_IGNORE_WARNINGS="1", PYRIGHT_PYTHON_GLOBAL_NODE="off")
    probe = subprocess.run(
        [sys.executable, "-m", "pyright", "--version"], capture_output=True, text=True, env=environment
    )
    if probe.returncode != 0:
        pytest.skip(f"pyright does not run here: {(probe.stderr or probe.stdout).strip().splitlines()[-1:]}")
    checked("pyright", "pyright", "--pythonpath", sys.executable, env=environment)


def test_the_type_checker_knows_what_comes_out(tmp_path: Path) -> None:
    """`get` answers what was put; a wrong item is an error."""
    user = tmp_path / "user.py"
    user.write_text(
        """
from turtle_buffers import RingBuffer, SharedRingBuffer

numbers: RingBuffer[int] = RingBuffer(4)
plain = SharedRingBuffer("/x")
ticks = SharedRingBuffer("/y", dtype="f8")

async def use() -> None:
    reveal_type(numbers.get())
    reveal_type(await numbers.aget())
    reveal_type([item async for item in numbers])
    reveal_type(plain.get())
    reveal_type(plain.get_many(3))
    reveal_type(ticks.get())
    plain.put(bytearray(3))
    numbers.put("text")
    plain.put("text")
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(user)],
        capture_output=True, text=True, cwd="/",
    )
    if "No module named" in done.stderr:
        pytest.skip("mypy is not installed")
    revealed = [line.split('"')[1] for line in done.stdout.splitlines() if "Revealed" in line]
    assert revealed == ["int", "int", "list[int]", "bytes", "list[bytes]", "Any"], done.stdout
    errors = [line.split(":")[1] for line in done.stdout.splitlines() if " error: " in line]
    assert errors == ["16", "17"], done.stdout
