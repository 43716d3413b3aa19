#!/usr/bin/env bash
# Removes everything that was built, the private .venv included.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# An exported CARGO_TARGET_DIR may point anywhere: only a folder that cargo marked as its own goes.
if [ "$TARGET" = "$ROOT/target" ] || [ -f "$TARGET/CACHEDIR.TAG" ]; then
    rm -rf "$TARGET"
else
    say "clean: $TARGET does not look like a target folder and stays"
fi
rm -rf "$VENV" dist build .pytest_cache .mypy_cache .hypothesis
find . -name .git -prune -o -type d -name __pycache__ -prune -exec rm -rf {} +
say "clean: nothing built is left"
