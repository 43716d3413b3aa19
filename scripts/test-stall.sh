#!/usr/bin/env bash
# The frozen-thread table: one thread is stopped after every instruction of a call, the others must do what is promised.
# One capacity here: docs/stall.md has all of them, and what opening a ring of wait_free costs.
# Then a share of what kills instead of stopping; docs/stall.md has the long runs.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

step "build the stall tool" cargo build --release -p turtle-stall
step "the stall table holds" cargo run --release -p turtle-stall -- --check --capacity 2
step "killed at any instruction (a sample)" cargo run --release -p turtle-stall -- --kill --stride 397 --together 60
step "killed again and again" cargo run --release -p turtle-stall -- --torture 600
steps_end
