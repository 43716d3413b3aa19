#!/usr/bin/env bash
# The proofs are checked by Coq, the model of wait_free is explored, recorded runs of the engines are replayed.
# Where Coq can neither be found nor installed it says so and checks nothing.

# shellcheck source=scripts/lib.sh
. "$(dirname "$0")/lib.sh"

if ! have coqc || ! have ocamlfind; then
    # Whether it could be installed is asked below; if not, the reason is said there.
    scripts/deps.sh proofs || true
fi
if ! have coqc || ! have ocamlfind; then
    say "SKIP: no Coq here (coqc, ocamlfind), and none could be installed: no proof was checked, no run replayed"
    exit 0
fi

# The objects lie beside their sources: here in a copy.
COPY=$TARGET/proofs
export TURTLE_TRACES=$TARGET/traces
explore=$COPY/explore/explore
replay=$COPY/explore/replay
replay_turn=$COPY/replay/replay
replay_spsc=$COPY/replay/replay-spsc

copy() {
    mkdir -p "$COPY"
    git ls-files -z proofs | xargs -0 cp --parents --preserve=timestamps -t "$TARGET"
}
compile() { make -C "$COPY" all explore replay replay-spsc; }
no_axioms() { make -C "$COPY" assumptions; }
record() {
    RUSTFLAGS='--cfg turtle_trace --cfg turtle_cost' CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
        cargo test --release --test replay --target-dir "$TARGET/replay"
}
explored() {
    "$explore" --covered >"$COPY/explored.out" || { tail -n 40 "$COPY/explored.out" && return 1; }
    grep -v -e '->' "$COPY/explored.out"
}
# What the exploration has come by the recorded runs must have come by, too.
all_is_covered() {
    grep -e '->' "$COPY/explored.out" | sort >"$COPY/explored.txt"
    "$replay" --covered "$TURTLE_TRACES/wait_free.trace" | sed -n 's/^ *[0-9]* \(.*->.*\)/\1/p' | sort >"$COPY/replayed.txt"
    [ -s "$COPY/explored.txt" ] || die "nothing was explored"
    local missing
    missing=$(comm -23 "$COPY/explored.txt" "$COPY/replayed.txt")
    [ -z "$missing" ] || die "no recorded run comes by: $missing"
}
# refused FILE SED PROGRAM: a run with one line changed is none.
refused() {
    local changed=$COPY/changed.trace
    sed "$2" "$1" >"$changed"
    ! cmp -s "$1" "$changed" || die "'$2' changes nothing"
    ! "$3" "$changed" || die "'$2' was not noticed"
}
few() { awk -v head="$1" '$1 == head { n++ } n <= 200' "$TURTLE_TRACES/$2.trace" >"$COPY/few-$2.trace"; }

step "the proofs, to be compiled" copy
step "Coq accepts every proof" compile
step "no theorem rests on an axiom" no_axioms
step "all runs of the small worlds of wait_free" explored
runner "runs are recorded" record
step "the model of wait_free makes the same steps" "$replay" "$TURTLE_TRACES/wait_free.trace"
step "the model of turn makes the same steps, all of them" "$replay_turn" --need "$COPY/replay/turn.pairs" "$TURTLE_TRACES/turn.trace"
step "the model of spsc makes the same steps" "$replay_spsc" "$TURTLE_TRACES/spsc.trace"
step "what was explored was recorded as well" all_is_covered
few wait_free wait_free
few ring turn
few ring spsc
step "another value is noticed (wait_free)" refused "$COPY/few-wait_free.trace" '0,/^a . SLOT_LOOK/s/^\(a . SLOT_LOOK load [^ ]*\) .*/\1 1f 1f 1/' "$replay"
step "a step that is missing is noticed (wait_free)" refused "$COPY/few-wait_free.trace" '0,/^a . DECIDE/{/^a . DECIDE/d}' "$replay"
step "another answer is noticed (wait_free)" refused "$COPY/few-wait_free.trace" '0,/^r . popped/s/^r \(.\) popped.*/r \1 empty/' "$replay"
step "another value is noticed (turn)" refused "$COPY/few-turn.trace" '0,/^access . POP_TURN/s/^\(access . POP_TURN load [^ ]*\) .*/\1 77/' "$replay_turn"
step "a step that is missing is noticed (turn)" refused "$COPY/few-turn.trace" '0,/^access . PUSH_PUBLISH/{/^access . PUSH_PUBLISH/d}' "$replay_turn"
step "another answer is noticed (turn)" refused "$COPY/few-turn.trace" '0,/^return . empty/s/^return \(.\) empty/return \1 closed/' "$replay_turn"
step "another value is noticed (spsc)" refused "$COPY/few-spsc.trace" '0,/^access . POP_LAST/s/^\(access . POP_LAST load [^ ]*\) .*/\1 77/' "$replay_spsc"
step "a step that is missing is noticed (spsc)" refused "$COPY/few-spsc.trace" '0,/^access . PUSH_PUBLISH/{/^access . PUSH_PUBLISH/d}' "$replay_spsc"
step "another answer is noticed (spsc)" refused "$COPY/few-spsc.trace" '0,/^return . empty/s/^return \(.\) empty/return \1 closed/' "$replay_spsc"
# All of them: proofs/explore/mutants.py.
step "changes of the model are noticed" python3 "$COPY/explore/mutants.py" "$COPY/explore" "$COPY/few-wait_free.trace" 'COMPLETE' 'full one too late'
steps_end
