# Counts what a suite's log says was tested. Prints "passed failed skipped", then one reason a line for what was skipped.
#
# Read: cargo test (with --show-output, so that a passed test's "SKIP: reason" is seen), pytest, ctest, TAP, lines that
# begin with PASS:, FAIL: or SKIP:. A closing "N passed, N failed, N skipped" counts only where nothing else was counted.

function reason(text) {
    gsub(/^[ \t]+|[ \t\r]+$/, "", text)
    reasons[++n_reasons] = text
}

{ sub(/\r$/, "") }

# libtest. A block of output belongs to one test; a passed test that says SKIP counts as skipped, not as passed.
/^successes:$/ { in_successes = 1; block_skipped = 0; next }
/^failures:$/ { in_successes = 0; next }
in_successes && /^---- .* stdout ----$/ { block_skipped = 0; next }
/^test result: (ok|FAILED)\. [0-9]+ passed; [0-9]+ failed; [0-9]+ ignored/ {
    passed += $4; failed += $6; skipped += $8; counted = 1
    in_successes = 0
    next
}
/^test .* \.\.\. ignored/ {
    text = $0
    sub(/^test /, "", text)
    sub(/ \.\.\. ignored/, "", text)
    reason(text)
    next
}

# pytest: its last line, and with -rs the reasons (those lines are not counted, the last line has them).
/^(=+ )?[0-9]+ [a-z]+(, [0-9]+ [a-z]+)* in [0-9.]+s( \([0-9:]+\))?( =+)?$/ {
    text = $0
    gsub(/=/, "", text)
    sub(/ in [0-9.]+s.*/, "", text)
    n = split(text, parts, ",")
    for (i = 1; i <= n; i++) {
        split(parts[i], word, " ")
        if (word[2] == "passed") passed += word[1]
        else if (word[2] ~ /^(failed|errors?|xpassed)$/) failed += word[1]
        else if (word[2] ~ /^(skipped|xfailed)$/) skipped += word[1]
    }
    counted = 1
    next
}
/^SKIPPED \[[0-9]+\] / { text = $0; sub(/^SKIPPED \[[0-9]+\] /, "", text); reason(text); next }

# ctest: one line a test.
/^ *[0-9]+\/[0-9]+ Test +#[0-9]+: / {
    text = $0
    sub(/^.*Test +#[0-9]+: /, "", text)
    if ($0 ~ /\*\*\*Skipped|\*\*\*Not Run \(Disabled\)/) { skipped++; sub(/ \.+.*/, "", text); reason(text " (ctest)") }
    else if ($0 ~ / Passed +[0-9.]+ sec/) passed++
    else failed++
    counted = 1
    next
}

# TAP.
/^not ok [0-9]+/ { failed++; counted = 1; next }
/^ok [0-9]+/ {
    counted = 1
    if (match($0, /# [Ss][Kk][Ii][Pp]/)) { skipped++; reason(substr($0, RSTART + 6)) }
    else passed++
    next
}

# Plain lines. A test that runs alone under libtest has its first line after "test NAME ... ".
/^PASS: / { passed++; counted = 1; next }
/^FAIL: / { failed++; counted = 1; next }
/^(test .* \.\.\. )?SKIP: / {
    if (in_successes && !block_skipped) { passed--; skipped++; block_skipped = 1 }
    else if (!in_successes) { skipped++; counted = 1 }
    text = $0
    sub(/^(test .* \.\.\. )?SKIP: /, "", text)
    reason(text)
    next
}

/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { last_passed = $1; last_failed = $3; last_skipped = $5; closing = 1 }

END {
    if (!counted && closing) { passed = last_passed; failed = last_failed; skipped = last_skipped }
    printf "%d %d %d\n", passed, failed, skipped
    for (i = 1; i <= n_reasons; i++) print reasons[i]
}
