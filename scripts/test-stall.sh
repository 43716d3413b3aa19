#!/usr/bin/env bash
# The frozen-thread table: one thread is stopped after every instruction of a call, the others must do what is promised.
# Then a share of what kills instead of stopping; docs/stall.md has the long runs.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

step "build the stall tool" cargo build --release -p turtle-stall
step "the stall table holds" cargo run --release -p turtle-stall -- --check
step "killed at any instruction (a sample)" cargo run --release -p turtle-stall -- --kill --stride 149 --together 150
step "killed again and again" cargo run --release -p turtle-stall -- --torture 1200
steps_end
