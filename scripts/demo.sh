#!/usr/bin/env bash
# The main job on real input. Prepares what scripts/demo.py needs, then hands over: demo.sh [arguments of demo.py]
#
# demo.py finds in its environment: TURTLE_PREFIX, an installed copy (bin/turtle, include/, lib/), and TURTLE_TARGET, the
# folder for what it builds and writes. The Python package is installed in the interpreter that runs it.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

[ -f scripts/demo.py ] || die "scripts/demo.py does not exist: there is no demo in this tree"
scripts/deps.sh rust install demo

mkdir -p "$TARGET/demo"
prepare() { # WHAT COMMAND…
    say "demo: $1"
    local log=$TARGET/demo/prepare.log
    shift
    if ! run_logged "preparing" 1800 "$log" "$@"; then
        tail -n 30 "$log" >&2
        die "that failed; the whole output is in $log"
    fi
}
prepare "building the library and the command line (the first time takes minutes)" \
    env PREFIX=/usr LIBDIR=lib DESTDIR="$TARGET/demo/stage" scripts/install.sh install
# shellcheck disable=SC2016 # the inner shell reads it
prepare "building the Python package (the first time takes minutes)" \
    bash -c '. scripts/lib.sh; plain_wheel "$TARGET/demo/wheel"'
prepare "installing it in .venv" \
    "$VENV/bin/python" -m pip install --force-reinstall --no-index --no-deps "$TARGET"/demo/wheel/*.whl

export TURTLE_PREFIX=$TARGET/demo/stage/usr TURTLE_TARGET=$TARGET
exec "$VENV/bin/python" scripts/demo.py "$@"
