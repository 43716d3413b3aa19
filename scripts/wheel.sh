#!/usr/bin/env bash
# Python wheel (abi3, CPython 3.11 and newer) and source archive, in target/wheels.
# The wheel is linked by zig against an old glibc so that it runs on other distributions; where that fails it says why and
# makes one for this machine.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/deps.sh rust wheel
remap_paths
# maturin looks for zig as a module of the first python3 it finds.
export PATH=$VENV/bin:$PATH
OUT=$TARGET/wheels
LOG=$TARGET/wheel.log
rm -rf "$OUT"
mkdir -p "$OUT"

say "maturin build --release --zig --compatibility manylinux2014 (the first time takes minutes)"
if ! run_logged "wheel" 1200 "$LOG" maturin build --release --zig --compatibility manylinux2014 \
    --interpreter "$VENV/bin/python" --out "$OUT"; then
    say "That failed, so the wheel will only do for systems as new as this one. The reason:"
    tail -n 10 "$LOG" | sed 's/^/  | /'
    rm -f "$OUT"/*.whl
    say "maturin build --release"
    if ! run_logged "wheel" 1200 "$LOG" maturin build --release --interpreter "$VENV/bin/python" --out "$OUT"; then
        tail -n 30 "$LOG" >&2
        die "the wheel could not be built; the whole output is in $LOG"
    fi
fi
say "maturin sdist"
if ! run_logged "sdist" 300 "$TARGET/sdist.log" maturin sdist --out "$OUT"; then
    tail -n 30 "$TARGET/sdist.log" >&2
    die "the source archive could not be made; the whole output is in $TARGET/sdist.log"
fi

# What was built is tried before it is praised.
wheels=("$OUT"/*-abi3-*.whl)
[ -f "${wheels[0]}" ] || die "no abi3 wheel in $OUT"
archives=("$OUT"/*.tar.gz)
[ -f "${archives[0]}" ] || die "no source archive in $OUT"
unpacked "${wheels[0]}" "$TARGET/wheel-unpacked"
mapfile -t files < <(find "$TARGET/wheel-unpacked" -type f ! -empty)
no_machine_paths "${files[@]}"
if tar -tzf "${archives[0]}" | grep -E '/(dist|target|\.venv)/'; then die "the source archive holds things that were built"; fi
rm -rf "$TARGET/venv-wheel"
"$VENV/bin/python" -m venv "$TARGET/venv-wheel"
"$TARGET/venv-wheel/bin/python" -m pip install --quiet --no-index --no-deps "${wheels[0]}"
(cd "$TARGET/venv-wheel" && bin/python -c 'import turtle_buffers._turtle')
say "wheel: ${wheels[0]##*/} and ${archives[0]##*/} are in $OUT; the wheel installs and imports"
