#!/usr/bin/env bash
# Every test in every language: test.sh [SUITE…]   (no name: all of them; --list shows them)
#
# Each suite has its own log in target/test-logs. The last line is "N passed, N failed, N skipped" and nothing else;
# the exit status is 1 when anything failed. A suite that ran no test at all has failed.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

# The one table. name | seconds it may cost on 2 cores, from a clean checkout | what must be there | command
# A suite whose files are not there fails. A suite is ended after four times its budget, never before 300 s.
# The model suites are built without link-time optimisation: they are compiled once each and never measured.
MODEL='CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16'
SHOW='-- --show-output'
SUITES="
house   | 5   | scripts/test-house.sh          | scripts/test-house.sh
lint    | 35  | Cargo.toml                     | scripts/lint.sh
rust    | 290 | tests                          | cargo test --workspace --exclude turtle-python --no-fail-fast $SHOW
doc     | 10  | src/lib.rs                     | scripts/test-doc.sh
loom    | 140 | tests/model_loom.rs            | RUSTFLAGS='--cfg turtle_loom --cfg turtle_mutate' $MODEL cargo test --release --test model_loom --target-dir \"\$TARGET/loom\" $SHOW
shuttle | 70  | tests/model_shuttle.rs         | RUSTFLAGS='--cfg shuttle --cfg turtle_mutate' $MODEL cargo test --release --test model_shuttle --target-dir \"\$TARGET/shuttle\" $SHOW
orders  | 115 | tests/orders.rs                | RUSTFLAGS='--cfg turtle_loom --cfg turtle_mutate' $MODEL cargo test --release --test orders --target-dir \"\$TARGET/loom\" $SHOW
mutants | 30  | tests/mutants.rs               | RUSTFLAGS='--cfg turtle_loom --cfg turtle_mutate' $MODEL cargo test --release --test mutants --target-dir \"\$TARGET/loom\" $SHOW
cost    | 55  | tests/cost.rs                  | RUSTFLAGS='--cfg turtle_cost --cfg turtle_mutate' $MODEL cargo test --release --test cost --target-dir \"\$TARGET/cost\" $SHOW
trace   | 40  | tests/trace.rs                 | RUSTFLAGS='--cfg turtle_trace' cargo test --test trace --target-dir \"\$TARGET/trace\" $SHOW
stall   | 300 | tools/stall/Cargo.toml         | scripts/test-stall.sh
c       | 70  | bindings/c/tests/run.sh        | scripts/install.sh library && bindings/c/tests/run.sh
abi     | 10  | bindings/c/abi/check.sh        | scripts/test-abi.sh
cpp     | 220 | cpp_examples/CMakeLists.txt    | scripts/test-cpp.sh
ffi     | 15  | bindings/ffi-examples/run.sh   | scripts/install.sh library && bindings/ffi-examples/run.sh
python  | 80  | python/tests                   | scripts/test-python.sh
proofs  | 170 | scripts/test-proofs.sh         | scripts/test-proofs.sh
patience | 120 | scripts/test-patience.sh      | scripts/test-patience.sh
demo    | 20  | scripts/demo.py                | scripts/test-demo.sh
"

names=() budgets=() needs=() commands=()
while IFS='|' read -r name budget need command; do
    [ -n "${name// /}" ] || continue
    names+=("${name// /}")
    budgets+=("${budget// /}")
    needs+=("${need// /}")
    commands+=("${command# }")
done <<<"$SUITES"

chosen=()
for word in "$@"; do
    if [ "$word" = --list ]; then
        total=0
        for i in "${!names[@]}"; do
            printf '%-8s %4d s  %s\n' "${names[i]}" "${budgets[i]}" "${commands[i]}"
            total=$((total + budgets[i]))
        done
        printf '%-8s %4d s\n' together "$total"
        exit 0
    fi
    known=
    for i in "${!names[@]}"; do
        if [ "${names[i]}" = "$word" ]; then
            chosen+=("$i")
            known=1
        fi
    done
    [ -n "$known" ] || die "there is no suite '$word' (${names[*]})"
done
[ ${#chosen[@]} -gt 0 ] || chosen=("${!names[@]}")

scripts/deps.sh rust lint install test

LOGS=$TARGET/test-logs
mkdir -p "$LOGS"
export CARGO_TERM_COLOR=never CARGO_INCREMENTAL=0 NO_COLOR=1 TURTLE_TARGET=$TARGET

all_passed=0 all_failed=0 all_skipped=0 began=$SECONDS
table=() skips=() failures=()
number=0
for i in "${chosen[@]}"; do
    number=$((number + 1))
    name=${names[i]} budget=${budgets[i]} log=$LOGS/${names[i]}.log
    printf '[%2d/%d] %s\n' "$number" "${#chosen[@]}" "$name"
    limit=$((budget * 4 > 300 ? budget * 4 : 300))
    start=$SECONDS rc=0 why=
    if [ ! -e "${needs[i]}" ]; then
        rc=127
        why="${needs[i]} does not exist"
        printf '%s\n' "$why" >"$log"
    else
        run_logged "$name" "$limit" "$log" bash -euo pipefail -c "${commands[i]}" || rc=$?
    fi
    seconds=$((SECONDS - start))

    mapfile -t counted < <(awk -f scripts/count.awk "$log")
    read -r passed failed skipped <<<"${counted[0]}"
    for reason in "${counted[@]:1}"; do skips+=("$name: $reason"); done
    if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
        why="ended after $limit s"
        failed=$((failed + 1))
    elif [ "$rc" -ne 0 ] && [ "$failed" -eq 0 ]; then
        why=${why:-"status $rc"}
        failed=1
    elif [ "$rc" -eq 0 ] && [ $((passed + failed + skipped)) -eq 0 ]; then
        why="no test was run"
        failed=1
    fi
    all_passed=$((all_passed + passed)) all_failed=$((all_failed + failed)) all_skipped=$((all_skipped + skipped))

    result=ok
    if [ "$failed" -gt 0 ]; then
        result=FAILED
        failures+=("$name")
        printf '        last lines of %s:\n' "$log"
        tail -n 40 "$log" | sed 's/^/        | /'
    fi
    over=
    if [ "$seconds" -gt "$budget" ]; then over=' over'; fi
    table+=("$(printf '%-8s | %-6s | %6d /%4d /%4d          | %7d | %d%s' \
        "$name" "$result" "$passed" "$failed" "$skipped" "$seconds" "$budget" "$over")")
    printf '        %s: %d passed, %d failed, %d skipped, %d s%s\n' \
        "$result" "$passed" "$failed" "$skipped" "$seconds" "${why:+ ($why)}"
done

say
say "suite    | result | passed/failed/skipped       | seconds | budget"
say "---------|--------|-----------------------------|---------|-------"
printf '%s\n' "${table[@]}"
say
if [ ${#skips[@]} -gt 0 ]; then
    say "Skipped, or skipped in part:"
    printf '  %s\n' "${skips[@]}"
    say
fi
if [ ${#failures[@]} -gt 0 ]; then
    say "Failed: ${failures[*]}. Logs: $LOGS. Again: make test SUITES=\"${failures[*]}\""
fi
seconds=$((SECONDS - began))
say "Time: $((seconds / 60)) min $((seconds % 60)) s, logs in $LOGS"
say "$all_passed passed, $all_failed failed, $all_skipped skipped"
[ "$all_failed" -eq 0 ]
