#!/usr/bin/env bash
# Runs the examples of other languages against libturtle.so: run.sh
#
# The library is $TURTLE_LIB, or what was built here, or what pkg-config knows as "turtle". A language that is not
# installed is skipped, and counted. Last line: "N passed, N failed, N skipped".
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
built=${TURTLE_TARGET:-${CARGO_TARGET_DIR:-$root/target}}/release/libturtle.so
include=$root/include
passed=0 failed=0 skipped=0

if [ -n "${TURTLE_LIB:-}" ]; then
    library=$TURTLE_LIB
elif [ -f "$built" ]; then
    library=$built
elif command -v pkg-config >/dev/null && pkg-config --exists turtle; then
    library=$(pkg-config --variable=libdir turtle)/libturtle.so
    include=$(pkg-config --variable=includedir turtle)
else
    library=$built
fi
if [ ! -f "$library" ]; then
    echo "FAIL: there is no $library: scripts/install.sh library, or set TURTLE_LIB"
    exit 1
fi
library=$(realpath "$library")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

have() { command -v "$1" >/dev/null; }
skip() {
    echo "SKIP: $1"
    skipped=$((skipped + 1))
}
# example NAME COMMAND…: must end well and say the sum
example() {
    local name=$1
    shift
    if timeout 120 "$@" >"$work/log" 2>&1 && grep -q "1000 elements, sum 500500" "$work/log"; then
        echo "PASS: $name"
        passed=$((passed + 1))
    else
        echo "FAIL: $name"
        sed 's/^/    | /' "$work/log" | tail -n 30
        failed=$((failed + 1))
    fi
}

if have python3; then example ring.py python3 "$here/ring.py" "$library"; else skip "ring.py: python3 is not installed"; fi

if have luajit; then example ring.lua luajit "$here/ring.lua" "$library"; else skip "ring.lua: luajit is not installed"; fi

if ! have node || ! have npm; then
    skip "ring.mjs: node or npm is not installed"
else
    # Modules are found beside the script, so it is run from a folder that has koffi.
    mkdir "$work/node"
    cp "$here/ring.mjs" "$work/node/"
    if (cd "$work/node" && timeout 120 npm install --silent --no-audit --no-fund --prefix . koffi@3 >"$work/npm.log" 2>&1); then
        example ring.mjs node "$work/node/ring.mjs" "$library"
    else
        skip "ring.mjs: npm cannot install koffi"
    fi
fi

if ! have ruby; then
    skip "ring.rb: ruby is not installed"
elif ! ruby -e 'require "ffi"' 2>/dev/null; then
    skip "ring.rb: the gem ffi is not installed"
else
    example ring.rb ruby "$here/ring.rb" "$library"
fi

if have go; then
    # The loader looks for the soname, the linker for the plain name.
    mkdir "$work/lib"
    ln -s "$library" "$work/lib/libturtle.so.0"
    ln -s "$library" "$work/lib/libturtle.so"
    example ring.go env GOCACHE="$work/gocache" GO111MODULE=off LD_LIBRARY_PATH="$work/lib" \
        CGO_CFLAGS="-I$include" CGO_LDFLAGS="-L$work/lib -lturtle" go run "$here/ring.go"
else
    skip "ring.go: go is not installed"
fi

jna=
for candidate in "${JNA_JAR:-}" /usr/share/java/jna.jar /usr/share/java/jna/jna.jar; do
    if [ -f "$candidate" ]; then
        jna=$candidate
        break
    fi
done
if ! have java || ! have javac; then
    skip "Ring.java: no Java development kit is installed"
elif [ -z "$jna" ]; then
    skip "Ring.java: JNA is not installed (on Debian: libjna-java; elsewhere set JNA_JAR)"
else
    example Ring.java java -cp "$jna" "$here/Ring.java" "$library"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
