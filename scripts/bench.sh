#!/usr/bin/env bash
# Side by side with rivals: bench.sh [arguments of benches/rivals, such as --quick]
# Writes target/bench/report.html (self-contained) and report.json, and for Python python.txt and python.json. The rivals are a crate of their own, built here and never by
# the tests.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts/deps.sh rust bench
OUT=$TARGET/bench
mkdir -p "$OUT"
rm -f "$OUT"/rivals.json "$OUT"/report.*
say "Building the rivals (the first time takes minutes)"
cargo build --release --manifest-path benches/rivals/Cargo.toml --target-dir "$TARGET/rivals"
say "Building the command line and the C library, as they ship"
scripts/install.sh build
# A tree with changes is not the commit that it stands on.
TURTLE_COMMIT=${TURTLE_COMMIT:-$(git describe --always --dirty --exclude '*' 2>/dev/null || echo unknown)}
export TURTLE_COMMIT TURTLE_LIBRARY="$TARGET/release/libturtle.so"
say "Measuring. Leave the machine alone meanwhile: other work shows in the spread."
"$TARGET/rivals/release/rivals" --json "$OUT/rivals.json" "$@"
# Help and lists measure nothing.
[ -s "$OUT/rivals.json" ] || exit 0
QUICK=()
for argument in "$@"; do
    if [ "$argument" = --quick ]; then QUICK=(--quick); fi
done
"$TARGET/release/turtle" bench ${QUICK[@]+"${QUICK[@]}"} --rivals "$OUT/rivals.json" --html "$OUT/report.html" --json "$OUT/report.json"
for report in "$OUT/report.html" "$OUT/report.json"; do
    [ -s "$report" ] || die "$report was not written"
done

# Python: the wheel beside what people use there, in an environment of its own. What cannot be had is named and left out.
FRESH=$TARGET/venv-bench
PY=$FRESH/bin/python
say "Building the wheel and installing what Python people use"
plain_wheel "$TARGET/wheels-bench"
rm -rf "$FRESH"
"$VENV/bin/python" -m venv "$FRESH"
for package in numpy pyzmq culsans janus faster-fifo; do
    "$PY" -m pip install --quiet "$package" || say "SKIP: $package could not be installed"
done
"$PY" -m pip install --quiet --no-index --no-deps "$TARGET"/wheels-bench/*.whl
"$PY" python/benches/compare.py ${QUICK[@]+"${QUICK[@]}"} --json "$OUT/python.json" | tee "$OUT/python.txt"
[ -s "$OUT/python.json" ] || die "$OUT/python.json was not written"
say "bench: report.html, report.json, python.txt and python.json are written in $OUT"
