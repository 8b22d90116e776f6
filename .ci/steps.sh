# The steps of the gate but those of tests (steps-tests.sh) and of simulated clusters (steps-simulation.sh). `.ci/step` calls
# one of these functions, with `set -e`.

step_format() {
    exits 0 swift format lint --strict --parallel --recursive Sources Tests Benchmarks Package.swift
}

# A step that leaves the gate has to leave the page, too.
step_pages() {
    .ci/run --list >"$STEP_DIR/steps"
    awk -F '`' '/^## / { inside = $0 == "## The gate" } inside && /^\| `/ { print $2 }' Docs/Contributing.md >"$STEP_DIR/rows"
    holds 'the page lists no steps' [ -s "$STEP_DIR/rows" ]
    holds 'the page lists other steps' diff "$STEP_DIR/steps" "$STEP_DIR/rows"
}

# A build folder of its own: other flags would make the tests, which run as a user runs them, build everything again.
step_strict_build() {
    exits 0 swift build --build-tests --scratch-path .build/strict -Xswiftc -warnings-as-errors
}

step_release_build() {
    exits 0 swift build -c release
    swift build -c release --show-bin-path >"$GATE_DIR/release"
    holds 'there is a program balsa' [ -x "$(release)/balsa" ]
    holds 'there is a program balsa-bench' [ -x "$(release)/balsa-bench" ]
}

# The folder of the release build. Steps that run beside others do not ask the package manager for it, since one that builds
# keeps the others waiting.
release() { cat "$GATE_DIR/release"; }

# A tool that ignores its arguments would pass many steps.
step_subcommands() {
    exits 2 "$(release)/balsa" no-such-subcommand
    exits 2 "$(release)/balsa" demo --no-such-option 1
    exits 2 "$(release)/balsa" simulate --no-such-option 1
}

step_consumer() {
    exits 0 Tests/Consumer/run
}

# The verdict of the demo whose output is in the log, with that many kills.
holds_verdict() {
    local log=$1 kills=$2 verdict killed
    verdict=$(grep -a '^verdict:' "$log" || true)
    holds "the verdict is '$verdict'" \
        grep -qE "^verdict: nothing was lost; 100000 keys are on each of 3 members, .* killed $kills times?\$" <<<"$verdict"
    killed=$(grep -ac '^killed the leader, member [0-9]*, pid [0-9]*, with SIGKILL$' "$log" || true)
    holds "the output names $killed kills and not $kills" [ "$killed" -eq "$kills" ]
}

step_demo() {
    exits 0 "$(release)/balsa" demo >"$STEP_DIR/demo"
    holds_verdict "$STEP_DIR/demo" 1
}

step_demo_kills() {
    exits 0 "$(release)/balsa" demo --kills 10 >"$STEP_DIR/demo"
    holds_verdict "$STEP_DIR/demo" 10
    says "$(grep -a '^median\|^longest time without an acknowledgement:' "$STEP_DIR/demo")"
}

step_demo_attack() {
    exits 0 bash Tests/demo-under-attack.sh "$(release)/balsa" 8 >"$STEP_DIR/attack"
    cat "$STEP_DIR/attack"
    holds 'eight members were killed' grep -qE '^(8|9|1[0-9]) members were killed in [0-9]+ runs, and nothing was lost$' \
        "$STEP_DIR/attack"
    holds 'the output names each kill' [ "$(grep -c '^ *kill [0-9]*: pid' "$STEP_DIR/attack")" -ge 8 ]
}

# Every part of the benchmark has to print its rows, with a figure that is not zero. The program compares the values.
step_benchmark() {
    local row
    exits 0 "$(release)/balsa-bench" --smoke >"$STEP_DIR/figures"
    cat "$STEP_DIR/figures"
    for row in fillseq 'fillbatch\(100\)' fillsync fillrandom overwrite readrandom readmissing 'seekrandom\(10\)' \
        readwhilewriting readseq killed closed; do
        holds "the benchmark has no row $row" grep -qE "^$row +[0-9.]*[1-9]" "$STEP_DIR/figures"
    done
    # In one process, and in three.
    for row in 'put +1' 'put +10' 'get +1' 'get +10'; do
        holds "the benchmark has not two rows of $row clients" \
            [ "$(grep -cE "^balsa +$row clients +[0-9.]*[1-9]" "$STEP_DIR/figures")" -eq 2 ]
    done
}

# What runs concurrently is run with the thread sanitizer, which must be silent, and must report a race on purpose.
step_races_build() {
    local build=(swift build -c release --sanitize=thread --product BalsaRaces --scratch-path .build/races)
    exits 0 "${build[@]}"
    "${build[@]}" --show-bin-path >"$GATE_DIR/races"
    holds 'there is a program BalsaRaces' [ -x "$(cat "$GATE_DIR/races")/BalsaRaces" ]
}

step_races_planted() {
    exits 66 "$(cat "$GATE_DIR/races")/BalsaRaces" --planted >"$STEP_DIR/output" 2>&1
    cat "$STEP_DIR/output"
    holds 'the sanitizer names the planted race' grep -q 'WARNING: ThreadSanitizer: data race' "$STEP_DIR/output"
    holds 'the planted race ran to its end' grep -qE '^counted [0-9]+$' "$STEP_DIR/output"
    exits 1 "$(cat "$GATE_DIR/races")/BalsaRaces" --planted-value >"$STEP_DIR/output" 2>&1 || true
    cat "$STEP_DIR/output"
    holds 'the planted value is not named' grep -qE '^failed: .*what task [0-9]+ wrote in round [0-9]+ is not there' "$STEP_DIR/output"
}

step_races() {
    exits 0 "$(cat "$GATE_DIR/races")/BalsaRaces" >"$STEP_DIR/output" 2>&1
    cat "$STEP_DIR/output"
    holds 'the program ran to its end' [ "$(tail -n 1 "$STEP_DIR/output")" = 'nothing wrong was read' ]
}
