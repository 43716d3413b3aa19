#!/usr/bin/env bash
# The Python package as users get it: the wheel, installed in a fresh environment, tested from there.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

FRESH=$TARGET/venv-test
PY=$FRESH/bin/python
export MYPY_CACHE_DIR=$TARGET/mypy-cache

fresh_environment() {
    rm -rf "$FRESH"
    "$VENV/bin/python" -m venv "$FRESH"
    "$PY" -m pip install --quiet --retries 5 pytest numpy mypy
    # Brings a Node of its own. Where that is not to be had, the test that needs it says so.
    "$PY" -m pip install --quiet --retries 5 'pyright[nodejs]' || say "pyright could not be installed"
    "$PY" -m pip install --quiet --no-index --no-deps "$TARGET"/wheels-test/*-abi3-*.whl
}
wheel_is_small() {
    local size
    size=$(stat -c %s "$TARGET"/wheels-test/*-abi3-*.whl)
    [ "$size" -lt 3000000 ] || die "the wheel has $size bytes; 3,000,000 is the limit"
    say "the wheel has $size bytes"
}
wheel_names_no_folder() {
    local unpacked=$TARGET/wheel-unpacked files
    unpacked "$TARGET"/wheels-test/*-abi3-*.whl "$unpacked"
    mapfile -t files < <(find "$unpacked" -type f ! -empty)
    no_machine_paths "${files[@]}"
}
package_is_the_installed_one() {
    "$PY" - "$FRESH" "$(workspace_version)" <<'EOT'
import sys
from importlib import metadata
from pathlib import Path

import turtle_buffers
import turtle_buffers._turtle

fresh, version = sys.argv[1:]
for module in (turtle_buffers, turtle_buffers._turtle):
    assert Path(module.__file__).is_relative_to(fresh), module.__file__
assert metadata.version("turtle-buffers") == version, metadata.version("turtle-buffers")
assert (Path(turtle_buffers.__file__).parent / "py.typed").exists(), "py.typed is not in the wheel"
EOT
}
python_tests() {
    export TURTLE_TARGET=$TARGET
    "$PY" -m pytest -p no:cacheprovider --import-mode=importlib -rs -q python/tests
}
stubs_match() {
    local allow=()
    if [ -f python/stubtest-allowlist.txt ]; then allow=(--allowlist python/stubtest-allowlist.txt); fi
    "$PY" -m mypy.stubtest turtle_buffers "${allow[@]}"
}

step "build the wheel" plain_wheel "$TARGET/wheels-test"
step "it is smaller than 3 MB" wheel_is_small
step "build the C library, for the tests that share a ring with it" scripts/install.sh library
step "no file in it names a folder of this machine" wheel_names_no_folder
step "install it in a fresh environment" fresh_environment
step "the package under test is the installed one" package_is_the_installed_one
runner "python tests" python_tests
step "stubs match the module (stubtest)" stubs_match
steps_end
