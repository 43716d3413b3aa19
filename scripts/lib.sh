# shellcheck shell=bash
# Words that the scripts share. Sourced, never run.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT"
# One target directory for everything that is built; an exported CARGO_TARGET_DIR moves all of it.
TARGET=$(realpath -m "${CARGO_TARGET_DIR:-$ROOT/target}")
VENV=$ROOT/.venv
# rustup puts cargo there without always touching the PATH of the running shell.
if [ -d "$HOME/.cargo/bin" ]; then PATH=$PATH:$HOME/.cargo/bin; fi
export ROOT TARGET VENV PATH
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore PYTHONDONTWRITEBYTECODE=1

say() { printf '%s\n' "$*"; }
die() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# The version in the root manifest; the only place where it is written by hand.
workspace_version() {
    awk -F'"' '/^\[/ { in_package = ($0 == "[workspace.package]") }
               in_package && /^version[ =]/ { print $2; exit }' "$ROOT/Cargo.toml"
}

# version_at_least HAVE WANT
version_at_least() { [ "$(printf '%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; }

# run_logged LABEL LIMIT LOG COMMAND…
# Runs COMMAND with its output in LOG and ends it after LIMIT seconds. Says every 15 s how long it has
# been running and what it wrote last. Returns COMMAND's status, 124 or 137 when the limit was reached.
RUNNING='' TICKER=''
run_logged() {
    local label=$1 limit=$2 log=$3 rc=0
    shift 3
    : >"$log"
    (
        began=$SECONDS
        # The output of `sleep` is closed so that a pipe behind this script ends when the script does.
        while sleep 15 >/dev/null 2>&1 && kill -0 $$ 2>/dev/null; do
            last=$(tail -n 1 "$log" | tr -cd '[:print:]' | cut -c 1-70)
            printf '        %s: %d s so far; %s\n' "$label" "$((SECONDS - began))" "${last:-no output yet}"
        done
    ) &
    TICKER=$!
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null &
    RUNNING=$!
    wait "$RUNNING" || rc=$?
    RUNNING=
    kill "$TICKER"
    # Its status is that of the signal.
    if wait "$TICKER" 2>/dev/null; then :; fi
    TICKER=
    return "$rc"
}
# `timeout` leads a process group of its own: a Ctrl-C has to be passed on to it.
stop_running() {
    if [ -n "$RUNNING" ]; then kill -TERM "$RUNNING"; fi
    if [ -n "$TICKER" ]; then kill "$TICKER"; fi
    say "interrupted"
    exit 130
}
trap stop_running INT TERM

# step NAME COMMAND…
# Runs one named check and prints PASS or FAIL for it, which is what the counts of `make test` are made of.
STEPS_FAILED=0
step() {
    local name=$1 began=$SECONDS
    shift
    attempt "$name" "$@"
    if [ "$ATTEMPT" -eq 0 ]; then
        say "PASS: $name ($((SECONDS - began)) s)"
    else
        say "FAIL: $name (status $ATTEMPT)"
    fi
}
# runner NAME COMMAND…
# The same for a command that counts its own tests, such as pytest or ctest: no line is added to its count.
runner() {
    attempt "$@"
    if [ "$ATTEMPT" -ne 0 ]; then say "$1: status $ATTEMPT"; fi
}
ATTEMPT=0
attempt() {
    say "---- $1"
    shift
    # Not `if "$@"`: that would switch `set -e` off inside a function that is being run.
    set +e
    (
        set -e
        "$@"
    )
    ATTEMPT=$?
    set -e
    if [ "$ATTEMPT" -ne 0 ]; then STEPS_FAILED=$((STEPS_FAILED + 1)); fi
}
steps_end() { [ "$STEPS_FAILED" -eq 0 ]; }

# remap_paths
# For what others will get: from here on cargo and maturin write no folder of this machine into what they build. All that
# ships is built after this, with the same flags, so that one suite does not make cargo build it anew for another.
# Tests and benchmarks are built without, and debuggers find their sources.
remap_paths() {
    local flags='' flag pair source
    source=$(rustc --print sysroot)/lib/rustlib/src/rust
    for flag in ${RUSTFLAGS-}; do flags+=$'\x1f'$flag; done
    # Of several that fit rustc takes the last: folders that may lie in another one come after it.
    for pair in "$HOME=/home" "$ROOT=/turtle-buffers" "$TARGET=/target" "${CARGO_HOME:-$HOME/.cargo}=/cargo" "$source=/rustc"; do
        flags+=$'\x1f'--remap-path-prefix=$pair
    done
    # The flags of RUSTFLAGS, but folders may have blanks in their names.
    export CARGO_ENCODED_RUSTFLAGS=${flags#$'\x1f'}
}
# no_machine_paths FILE…
# Fails if one of these, text or binary, names a folder in which it was built.
no_machine_paths() {
    local folder found='' file
    for file in "$@"; do
        [ -s "$file" ] || die "$file is not there, or empty"
        # A slash ends each, so that "/root" is not found in "/rootless".
        for folder in "$ROOT" "$TARGET" "$HOME" "${CARGO_HOME:-$HOME/.cargo}" "$(rustc --print sysroot)"; do
            if LC_ALL=C grep -aqF "$folder/" "$file"; then
                found+="${found:+, }${file##*/}: $(LC_ALL=C grep -aoF -m 1 "$folder/" "$file" | head -n 1)"
            fi
        done
    done
    [ -z "$found" ] || die "a folder of this machine is named in $found"
}

# plain_wheel DIRECTORY
# Builds the wheel for this machine only, which needs no other compiler, as the one file in DIRECTORY.
plain_wheel() {
    rm -rf "$1"
    remap_paths
    "$VENV/bin/maturin" build --release --compatibility linux --interpreter "$VENV/bin/python" --out "$1"
    set -- "$1"/*.whl
    if [ $# -ne 1 ] || [ ! -f "$1" ]; then die "expected one wheel, found: $*"; fi
}
# unpacked WHEEL DIRECTORY: a wheel is a zip file, and folders do not show in compressed bytes.
unpacked() {
    rm -rf "$2"
    "$VENV/bin/python" -m zipfile -e "$1" "$2"
}
