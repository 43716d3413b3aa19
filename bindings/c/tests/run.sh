#!/usr/bin/env bash
# Builds the C tests in several ways and runs them: run.sh [PART OF A TEST'S NAME]
#
#   c99       gcc, C99, every warning an error; shared library
#   cpp17     the same sources as C++17
#   asan      AddressSanitizer, UBSan and leak check; static library
#   valgrind  the c99 program under memcheck
#
# The libraries are those in $TURTLE_TARGET/release (target/release); build them first:
# scripts/install.sh library. Last line: "N passed, N failed, N skipped".
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
target=${TURTLE_TARGET:-${CARGO_TARGET_DIR:-$root/target}}
lib=$target/release
out=$target/c-tests
only=${1:-}
passed=0 failed=0 skipped=0

[ -f "$lib/libturtle.so" ] && [ -f "$lib/libturtle.a" ] || {
    echo "FAIL: $lib/libturtle.so and libturtle.a are not there: scripts/install.sh library"
    exit 1
}
mkdir -p "$out/lib"
# The loader looks for the soname.
ln -sf "$lib/libturtle.so" "$out/lib/libturtle.so.0"
sources=("$here"/*.c)
warnings=(-Wall -Wextra -Wpedantic -Wshadow -Wvla -Werror -I"$root/include")
shared=("$lib/libturtle.so" -Wl,-rpath,"$out/lib" -pthread)
# What the Rust runtime in the archive needs; the same list as in turtle.pc.
static=("$lib/libturtle.a" -lgcc_s -lutil -lrt -lpthread -lm -ldl -lc)

# compiled NAME COMMAND…: one failed test if it does not compile
compiled() {
    local name=$1
    shift
    if "$@" 2>"$out/$name.log"; then return 0; fi
    cat "$out/$name.log"
    echo "FAIL: $name: compiles"
    failed=$((failed + 1))
    return 1
}
skip() {
    echo "SKIP: $1"
    skipped=$((skipped + 1))
}
lines() { awk -v word="$1: " 'index($0, word) == 1 { n++ } END { print n + 0 }' "$out/$2.out"; }
# variant NAME COMMAND…: runs the program and counts its lines
variant() {
    local name=$1 rc=0 good bad
    shift
    "$@" "$name" "$only" >"$out/$name.out" 2>"$out/$name.err" || rc=$?
    cat "$out/$name.out"
    good=$(lines PASS "$name") bad=$(lines FAIL "$name")
    skipped=$((skipped + $(lines SKIP "$name")))
    if [ "$rc" -ne 0 ]; then
        sed 's/^/    | /' "$out/$name.err" | tail -n 60
        if [ "$bad" -eq 0 ]; then
            echo "FAIL: $name: ends with status $rc"
            bad=1
        fi
    elif [ "$good" -eq 0 ]; then
        echo "FAIL: $name: no test was run"
        bad=1
    fi
    passed=$((passed + good)) failed=$((failed + bad))
}

if compiled c99 gcc -std=c99 -O1 -g "${warnings[@]}" -Wstrict-prototypes -o "$out/c99" "${sources[@]}" "${shared[@]}"; then
    variant c99 "$out/c99"
fi

# The quick start of the README, which is checked to be this file.
if compiled quickstart gcc -std=c99 -O1 "${warnings[@]}" -o "$out/quickstart" "$here/../examples/quickstart.c" "${shared[@]}"; then
    if said=$(timeout 60 "$out/quickstart") && [ "$said" = "sum 500500" ]; then
        echo "PASS: quickstart"
        passed=$((passed + 1))
    else
        echo "FAIL: quickstart: it said '${said:-}'"
        failed=$((failed + 1))
    fi
fi

if compiled cpp17 g++ -x c++ -std=c++17 -O1 -g "${warnings[@]}" -o "$out/cpp17" "${sources[@]}" -x none "${shared[@]}"; then
    variant cpp17 "$out/cpp17"
fi

# clang's runtime where it is there, gcc's otherwise.
compiler=
for candidate in clang gcc; do
    if command -v "$candidate" >/dev/null &&
        echo 'int main(void) { return 0; }' | "$candidate" -fsanitize=address,undefined -x c -o "$out/probe" - 2>/dev/null &&
        "$out/probe"; then
        compiler=$candidate
        break
    fi
done
if [ -z "$compiler" ]; then
    skip "asan: neither clang nor gcc has the sanitizers' runtime here"
elif compiled asan "$compiler" -std=c99 -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all \
    "${warnings[@]}" -o "$out/asan" "${sources[@]}" "${static[@]}"; then
    TURTLE_TEST_SCALE=4 ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 \
        UBSAN_OPTIONS=print_stacktrace=1 variant "asan" "$out/asan"
fi

if ! command -v valgrind >/dev/null; then
    skip "valgrind: it is not installed"
elif [ -x "$out/c99" ]; then
    TURTLE_TEST_SCALE=50 variant valgrind valgrind --quiet --error-exitcode=99 --leak-check=full --show-leak-kinds=definite,indirect \
        --errors-for-leak-kinds=definite,indirect --child-silent-after-fork=no "$out/c99"
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
