#!/usr/bin/env bash
# The C interface against its baseline: check.sh. With TURTLE_BLESS=1 the baseline is written anew first.
#
#   turtle.abi    types and functions, by abidw of a stub that is compiled from turtle.h alone
#   symbols.txt   what libturtle.so exports, by nm
#
# Each check is tried on a spoilt copy, too, and must fail there. A break needs a new major version (before 1.0: minor).
# Last line: "N passed, N failed, N skipped".
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
target=${TURTLE_TARGET:-${CARGO_TARGET_DIR:-$root/target}}
library=$target/release/libturtle.so
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0

# check NAME COMMAND…
check() {
    local name=$1
    shift
    if "$@" >"$work/log" 2>&1; then
        echo "PASS: $name"
        passed=$((passed + 1))
    else
        echo "FAIL: $name"
        sed 's/^/    | /' "$work/log" | head -n 40
        failed=$((failed + 1))
    fi
}
fails() { ! "$@"; }

# stub HEADER LIBRARY
stub() {
    mkdir -p "$work/include"
    cp "$1" "$work/include/turtle.h"
    python3 "$here/stub.py" "$1" >"$work/stub.c"
    # A relative name: the baseline holds no folder of this machine.
    (cd "$work" && gcc -std=c99 -g -O0 -fPIC -shared -Iinclude -Wl,-soname,libturtle.so.0 -o "$2" stub.c)
}
describe() { (cd "$work" && abidw --no-corpus-path --no-comp-dir-path --short-locs --no-show-locs --out-file "$2" "$1"); }
exported() { nm -D --defined-only "$1" | awk '{ print $3 }' | LC_ALL=C sort; }
# A field that changes its name changes its meaning: --harmless lets abidiff count that, too.
compare() { abidiff --no-show-locs --harmless "$@"; }
same_types() { compare "$here/turtle.abi" "$1"; }
# abidiff's status is a set of bits: 1 and 2 are failures of its own, 4 is a difference, 8 one that surely breaks.
status_of() {
    local rc=0
    compare "$@" || rc=$?
    echo "abidiff $*: status $rc" >&2
    difference=$rc
}
# A break is any difference that is not an addition.
breaks() {
    status_of --no-added-syms "$here/turtle.abi" "$1"
    [ $((difference & 3)) -eq 0 ] && [ $((difference & 4)) -ne 0 ]
}
adds() {
    status_of --no-added-syms "$here/turtle.abi" "$1"
    [ "$difference" -eq 0 ] || return 1
    status_of "$here/turtle.abi" "$1"
    [ "$difference" -eq 4 ]
}
# spoilt NAME SED-SCRIPT: a stub of a changed header
spoilt() {
    sed -E "$2" "$root/include/turtle.h" >"$work/$1.h"
    if cmp -s "$work/$1.h" "$root/include/turtle.h"; then
        echo "the change '$1' did not change anything"
        return 1
    fi
    stub "$work/$1.h" "$1.so" && describe "$1.so" "$1.abi"
}
declared_and_exported() { diff <(sed -nE 's/.*\b(turtle_[a-z_]+)\(.*/\1/p' "$work/clean.c" | LC_ALL=C sort) "$here/symbols.txt"; }
same_symbols() { diff "$here/symbols.txt" <(exported "$1"); }

for tool in gcc nm abidw abidiff python3; do
    if ! command -v "$tool" >/dev/null; then
        echo "SKIP: the C interface was not compared: $tool is not installed"
        echo "0 passed, 0 failed, 1 skipped"
        exit 0
    fi
done
if [ ! -f "$library" ]; then
    echo "FAIL: $library is not there: scripts/install.sh library"
    exit 1
fi

stub "$root/include/turtle.h" clean.so
cp "$work/stub.c" "$work/clean.c"
describe clean.so clean.abi
if [ "${TURTLE_BLESS:-}" = 1 ]; then
    cp "$work/clean.abi" "$here/turtle.abi"
    exported "$library" >"$here/symbols.txt"
    echo "written anew: turtle.abi, symbols.txt"
fi

check "types and functions are those of the baseline" same_types "$work/clean.abi"
check "exported symbols are those of the baseline" same_symbols "$library"
check "the header declares what is exported" declared_and_exported
check "the library calls itself libturtle.so.0" sh -c "readelf -d '$library' | grep -q 'SONAME.*\[libturtle.so.0\]'"
check "the baseline names no folder of a machine" fails grep -nE "(path|dir)='/" "$here/turtle.abi"

# The checks themselves: each must notice a change made for it.
for mutant in \
    'field-inserted|s/^( *)size_t elem_size;/\1uint64_t early;\n\1size_t elem_size;/' \
    'field-narrowed|s/^( *)uint64_t len;/\1uint32_t len;/' \
    'fields-swapped|s/uint32_t flags;/uint32_t other;/; s/uint32_t durability;/uint32_t flags;/; s/uint32_t other;/uint32_t durability;/' \
    'field-appended|s/^( *)uint32_t patience;/\1uint32_t patience;\n\1uint64_t late;/' \
    'function-dropped|s/^turtle_status turtle_close\(.*$//' \
    'parameter-added|s/^(turtle_status turtle_commit\(.*)void \*slot\);/\1void *slot, int more);/' \
    'result-changed|s/^size_t turtle_len/uint32_t turtle_len/' \
    'status-widened|s/^typedef int32_t turtle_status/typedef int64_t turtle_status/'; do
    name=${mutant%%|*}
    check "mutant made: $name" spoilt "$name" "${mutant#*|}"
    check "mutant noticed as a break: $name" breaks "$work/$name.abi"
done
check "mutant made: function-added" spoilt function-added 's/^(const char \*turtle_version\(void\);)/\1\nint turtle_new_thing(void);/'
check "mutant noticed as an addition: function-added" adds "$work/function-added.abi"

# A library that lacks a symbol, and one that has too many.
missing() { sed '/turtle_close(/d' "$work/clean.c" >"$work/missing.c"; }
extra() { { cat "$work/clean.c" && echo 'int turtle_new_thing(void) { return 0; }'; } >"$work/extra.c"; }
for change in missing extra; do
    "$change"
    cp "$root/include/turtle.h" "$work/include/turtle.h"
    (cd "$work" && gcc -std=c99 -fPIC -shared -Iinclude -o "$change.so" "$change.c")
    check "mutant noticed: symbols $change" fails same_symbols "$work/$change.so"
done
check "the stub itself passes for symbols" same_symbols "$work/clean.so"

echo "$passed passed, $failed failed, 0 skipped"
[ "$failed" -eq 0 ]
