#!/usr/bin/env bash
# The reference pages build without a warning: no broken link, nothing public undocumented.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

export RUSTDOCFLAGS="-D warnings"
# Libraries only: the command and the C library are both called turtle, and their pages would share a folder.
step "cargo doc, no warnings" cargo doc --workspace --lib --no-deps
steps_end
