#!/usr/bin/env bash
# The tests of wait_free once more, with calls that never try alone (TURTLE_PATIENCE=0) or once (1): what every call does by
# itself elsewhere is done here by announcing, claiming and helping. The suites before this one have built what it runs.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

PY=$TARGET/venv-test/bin/python

c_tests() { "$TARGET/c-tests/c99" "patience $TURTLE_PATIENCE" ""; }
python_tests() {
    TURTLE_TARGET=$TARGET "$PY" -m pytest -p no:cacheprovider --import-mode=importlib -q \
        -k 'wait_free or sessions' python/tests
}

for patience in 0 1; do
    export TURTLE_PATIENCE=$patience
    with="patience $patience"
    runner "tests/shared.rs, $with" cargo test --test shared
    runner "tests/hostile.rs, words that others spoil, $with" cargo test --test hostile scribbling
    runner "tests/asynchronous.rs, $with" cargo test --test asynchronous wait_free
    runner "tests/waiting.rs, $with" cargo test --test waiting wait_free
    step "the C tests, $with" c_tests
    runner "the Python tests, $with" python_tests
    step "killed again and again, $with" cargo run --release -p turtle-stall -- --torture 300
done
# One header over the C interface: once will do.
TURTLE_PATIENCE=0 step "the C++ tests, patience 0" ctest --test-dir "$TARGET/cmake/cpp_examples" -j 2 --output-on-failure
steps_end
