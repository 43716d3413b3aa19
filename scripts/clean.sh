#!/usr/bin/env bash
# Removes everything that was built, the private .venv included.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# An exported CARGO_TARGET_DIR may point anywhere: only a folder that cargo has built in goes.
if [ "$TARGET" = "$ROOT/target" ] || [ -f "$TARGET/.rustc_info.json" ]; then
    rm -rf "$TARGET"
else
    die "cargo has not built in $TARGET: nothing is removed"
fi
rm -rf "$VENV" dist build .pytest_cache .mypy_cache .hypothesis
find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
say "clean: nothing built is left"
