#!/usr/bin/env bash
# The frozen-thread table: one thread is stopped after every instruction of a call, the others must do what is promised.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

step "build the stall tool" cargo build --release -p turtle-stall
step "the stall table holds" cargo run --release -p turtle-stall -- --check
steps_end
