#!/usr/bin/env bash
# Formatting, lints and the scripts' own syntax. Warnings fail here; they do not on a desk.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

scripts_parse() {
    local file
    for file in scripts/*.sh .ci/run; do
        bash -n "$file"
        [ "$file" = scripts/lib.sh ] || [ -x "$file" ] || die "$file is not executable"
    done
}

step "cargo fmt --check" cargo fmt --all --check
step "cargo clippy, no warnings" cargo clippy --workspace --all-targets -- -D warnings
step "scripts parse" scripts_parse
if have shellcheck; then
    step "shellcheck" shellcheck --external-sources scripts/*.sh .ci/run
else
    say "SKIP: shellcheck is not installed"
fi
steps_end
