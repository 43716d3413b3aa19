#!/usr/bin/env bash
# The C interface keeps its baseline: types by abidiff, exported symbols by name.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

step "build libturtle" scripts/install.sh library
step "types and exported symbols match the baseline" bindings/c/abi/check.sh
steps_end
