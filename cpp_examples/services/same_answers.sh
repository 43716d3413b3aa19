#!/usr/bin/env bash
# Both versions of a service give the right answers to the same input, and differ in few lines:
#   same_answers.sh log_aggregator|request_dispatcher BEFORE AFTER
# Where boost is not installed, request_dispatcher has no BEFORE: AFTER alone is compared with the right answers.
set -euo pipefail

service=$1 before=$2 after=$3
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() {
    echo "$service: $*" >&2
    exit 1
}

# The input, and the right answers by other means, which know nothing of queues.
case $service in
log_aggregator)
    most=48 # nearly all of them the class that goes away
    for file in 1 2 3; do
        awk -v file="$file" 'BEGIN {
            srand(file); split("debug info warning error", level); split("api auth billing mail", service)
            for (i = 0; i < 20000; i++) {
                if (i % 1000 == 999) { print "not a log line"; continue }
                printf "2026-11-23T12:%02d:%02d %s %s ms=%d request %d served\n", i / 60 % 60, i % 60,
                    level[int(rand() * 4) + 1], service[int(rand() * 4) + 1], rand() * 10000, i
            }
        }' >"$work/$file.log"
    done
    inputs=("$work/1.log" "$work/2.log" "$work/3.log")
    awk '$4 ~ /^ms=[0-9]+$/ { n[$3 " " $2]++; ms = substr($4, 4) + 0; if (ms > most[$3]) most[$3] = ms }
        END { for (s in most) printf "%s debug=%d error=%d info=%d warning=%d slowest=%d\n", s,
            n[s " debug"], n[s " error"], n[s " info"], n[s " warning"], most[s] }' "${inputs[@]}" | LC_ALL=C sort >"$work/right"
    run() { "$1" "${inputs[@]}"; }
    ;;
request_dispatcher)
    most=30
    awk 'BEGIN {
        srand(7); split("words bytes crc nonsense", operation)
        for (i = 0; i < 20000; i++) {
            line = operation[i % 97 == 0 ? 4 : int(rand() * 3) + 1]
            for (w = int(rand() * 6); w > 0; w--) line = line " word" int(rand() * 1000)
            print line
        }
    }' >"$work/requests"
    python3 - "$work/requests" >"$work/right" <<'PY'
import sys, zlib
for number, line in enumerate(open(sys.argv[1])):
    operation, _, text = line.rstrip("\n").partition(" ")
    right = {"words": lambda: len(text.split()), "bytes": lambda: len(text), "crc": lambda: zlib.crc32(text.encode())}
    answer = f"{operation} {right[operation]()}" if operation in right else f"error: unknown operation {operation}"
    print(number, answer)
PY
    run() { "$1" 3 <"$work/requests"; }
    ;;
*) fail "no such service" ;;
esac

[ -s "$work/right" ] || fail "there are no right answers to compare with"
run "$after" >"$work/after"
cmp "$work/right" "$work/after" || fail "after.cpp gives wrong answers"
if [ -x "$before" ] || [ "$service" != request_dispatcher ]; then
    run "$before" >"$work/before"
    cmp "$work/right" "$work/before" || fail "before.cpp gives wrong answers"
fi
# diff and grep answer 1 for what is counted here: || true keeps their status, not their output, from ending the script.
changed=$(diff "$here/$service/before.cpp" "$here/$service/after.cpp" | grep -c '^[<>]') || true
[ "$changed" -gt 0 ] || fail "before.cpp and after.cpp are the same"
[ "$changed" -le "$most" ] || fail "$changed lines differ, $most at most"
added=$(diff "$here/$service/before.cpp" "$here/$service/after.cpp" | grep -c '^>') || true
[ "$added" -le 10 ] || fail "$added lines are new, 10 at most"
if "$after" /nonexistent 2>"$work/said" </dev/null; then fail "a mistake in the arguments is not noticed"; fi
[ -s "$work/said" ] || fail "a mistake in the arguments is not explained"
echo "$service: $(wc -l <"$work/right") right answers; $changed lines differ, $added of them new"
