#!/usr/bin/env bash
# The demo on a small input: it must end well and say so.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

step "demo on 20,000 lines" scripts/demo.sh --lines 20000
noticed() {
    cd scripts
    "$VENV/bin/python" -m unittest -q demo_test
}
step "the demo's consumer notices what is wrong" noticed
steps_end
