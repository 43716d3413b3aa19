#!/usr/bin/env bash
# Checks the checks: what counts tests must count them, and what watches a command must end it.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# counts WANTED <log: WANTED is everything that count.awk should print.
counts() {
    local found
    found=$(sed 's/^|//' | awk -f scripts/count.awk)
    [ "$found" = "$1" ] || die "expected '$1', found '$found'"
}

# The logs below stand behind a bar so that the counter does not take this script's own log for a test run.
libtest_counts() {
    counts "7 1 2
not_here, needs root
no membarrier" <<'LOG'
|running 5 tests
|test a::first ... ok
|test not_here ... ignored, needs root
|successes:
|
|---- talks stdout ----
|value 3
|
|---- cannot stdout ----
|SKIP: no membarrier
|
|successes:
|    a::first
|test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
|
|failures:
|---- wrong stdout ----
|thread 'wrong' panicked at tests/x.rs:1:1
|test result: FAILED. 4 passed; 1 failed; 0 ignored; 0 measured; 3 filtered out; finished in 0.01s
LOG
}
libtest_skip_counts_one_test() {
    # Two reasons in one test take one test away, and a reason that a lone test prints is seen too.
    counts "1 0 2
first reason
second reason
alone" <<'LOG'
|successes:
|---- one stdout ----
|SKIP: first reason
|SKIP: second reason
|test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
|test other ... SKIP: alone
LOG
}
pytest_counts() {
    counts "12 3 3
tests/test_a.py:3: needs two cores" <<'LOG'
|.....F.s
|SKIPPED [1] tests/test_a.py:3: needs two cores
|=== 2 failed, 12 passed, 2 skipped, 1 xfailed, 4 warnings, 1 error in 3.51s (0:00:03) ===
LOG
    counts "5 0 0" <<<"5 passed in 0.02s"
}
ctest_counts() {
    counts "1 2 2
skipped_here (ctest)
off (ctest)" <<'LOG'
|1/5 Test #1: good ....................   Passed    0.01 sec
|2/5 Test #2: bad .....................***Failed    0.00 sec
|3/5 Test #3: gone ....................***Not Run   0.00 sec
|4/5 Test #4: skipped_here ............***Skipped   0.00 sec
|5/5 Test #5: off .....................***Not Run (Disabled)   0.00 sec
|60% tests passed, 2 tests failed out of 5
LOG
}
plain_lines_count() {
    counts "3 2 2
go is not installed
no luajit" <<'LOG'
|PASS: one (3 s)
|FAIL: two (status 1)
|SKIP: go is not installed
|ok 1 - three
|not ok 2 - four
|ok 3 - five # SKIP no luajit
|ok 4
|3 passed, 2 failed, 2 skipped
LOG
}
closing_line_counts_alone() {
    counts "3 2 1" <<<"3 passed, 2 failed, 1 skipped"
    counts "0 0 0" <<<"everything went well"
}

slow_command_is_ended() {
    local log=$TARGET/test-logs/house-limit.log rc=0
    mkdir -p "$TARGET/test-logs"
    run_logged "slow" 1 "$log" bash -c 'echo begun; exec sleep 600' || rc=$?
    [ "$rc" -eq 124 ] || die "status $rc instead of 124"
    [ "$(cat "$log")" = begun ] || die "the log does not hold what the command wrote"
}
failing_step_is_seen() {
    local out
    # shellcheck disable=SC2016 # the inner shell reads it
    out=$(bash -c '. scripts/lib.sh; f() { false; say "went on"; }; step bad f; step good true; steps_end || say "failed as it should"')
    [ "${out/ ([0-9]* s)/}" = "---- bad
FAIL: bad (status 1)
---- good
PASS: good
failed as it should" ] || die "$out"
}
budgets_fit() {
    local total
    total=$(scripts/test.sh --list | awk '/^together/ { print $2 }')
    [ "$total" -lt 1800 ] || die "the suites may cost $total s together; 1800 is the limit"
}

machine_paths_are_seen() {
    local here=$TARGET/test-logs/house-paths
    mkdir -p "$here"
    printf 'ELF\0/turtle-buffers/src/core.rs\0/cargo/registry\0%sless/x\0' "$HOME" >"$here/clean"
    no_machine_paths "$here/clean"
    printf 'ELF\0\377%s/src/core.rs\0' "$ROOT" >"$here/spoilt"
    # In a shell of its own, which it ends.
    if (no_machine_paths "$here/clean" "$here/spoilt") 2>"$here/said"; then die "a folder of this machine was not seen"; fi
    grep -qF "spoilt: $ROOT/" "$here/said" || die "it does not say what is where: $(cat "$here/said")"
    if (no_machine_paths "$here/missing") 2>/dev/null; then die "a file that is not there passed"; fi
}

step "cargo test is counted" libtest_counts
step "a test that skips is counted once" libtest_skip_counts_one_test
step "pytest is counted" pytest_counts
step "ctest is counted" ctest_counts
step "plain lines and TAP are counted" plain_lines_count
step "a closing line counts where nothing else does" closing_line_counts_alone
step "a command that hangs is ended" slow_command_is_ended
step "a failing step is seen" failing_step_is_seen
step "folders of this machine are seen in a binary" machine_paths_are_seen
step "budgets stay under 30 minutes" budgets_fit
step "quick starts are the tested files, links lead somewhere" python3 scripts/test-readme.py
steps_end
