# The steps of the gate that run simulated clusters. `.ci/step` calls them. They run beside each other, each on one core if nothing
# else is said.

readonly FIRST_SEED=81           # the first of the fixed seeds: over them all happens that --require-counters asks for
readonly FIXED_SEEDS=40          # how many fixed seeds run with each number of members
readonly RANDOM_SEEDS=40         # how many random ones
readonly MAX_UNDECIDED=2         # how many searches of simulate may give up in a step; check-history searches longer, and may never

# simulated MEMBERS FIRST COUNT OPTION…: runs seeds, each of which must pass, and has their histories checked once more by the
# command that reads files, which has never seen the log. The lines of the runs are in STEP_DIR/runs.
simulated() {
    local members=$1 first=$2 count=$3 ok acknowledged short reads wrong status=0 files
    shift 3
    exits 0 "$(release)/balsa" simulate --members "$members" --seeds "$first..$((first + count - 1))" --jobs 1 \
        --max-undecided "$MAX_UNDECIDED" --history "$STEP_DIR/history" "$@" >"$STEP_DIR/runs" || true
    cat "$STEP_DIR/runs"
    ok=$(grep -c '^seed [0-9]* ok operations [1-9]' "$STEP_DIR/runs" || true)
    holds "$ok of $count seeds have passed with operations" [ "$ok" -eq "$count" ]
    holds 'the summary counts other runs' grep -qxF "summary: $count runs, 0 failed" "$STEP_DIR/runs"
    files=("$STEP_DIR"/history.*)
    holds "there are ${#files[@]} histories and not $count" [ "${#files[@]}" -eq "$count" ]
    # Openings of sessions are acknowledged, too, and are not in a history.
    acknowledged=$(sed -n 's/^  operations: \([0-9]*\) acknowledged.*/\1/p' "$STEP_DIR/runs")
    grep -cE '^return [0-9]+ [0-9]+ [0-9]+ ok( |$)' "${files[@]}" >"$STEP_DIR/answers" || true
    short=$(awk -F : '$NF < 1 { print $1 }' "$STEP_DIR/answers")
    holds "these histories have no answers: $short" [ -z "$short" ]
    ok=$(awk -F : '{ sum += $NF } END { print sum + 0 }' "$STEP_DIR/answers")
    holds "the histories have $ok answers of $acknowledged" [ $((2 * ok)) -ge "${acknowledged:-999999999}" ]
    # Writes without an answer that depends on others can always be put in an order.
    reads=$(cat "${files[@]}" | awk '$1 == "call" { asked[$4] = $5 } $1 == "return" && $5 == "ok" && asked[$4] == "read" { n += 1 }
        END { print n + 0 }')
    holds "only $reads of $ok answers are those of reads" [ $((10 * reads)) -ge "$ok" ]
    "$(release)/balsa" check-history --model balsa "${files[@]}" >"$STEP_DIR/verdicts" || status=$?
    ok=$(grep -c $'\tlinearizable$' "$STEP_DIR/verdicts" || true)
    wrong=$(grep -v $'\tlinearizable$' "$STEP_DIR/verdicts" | head -n 3 | cut -c 1-200 || true)
    holds "$ok of $count histories are linearizable, and not these: $wrong" [ "$ok" -eq "$count" ]
    holds "check-history exits with $status" [ "$status" -eq 0 ]
    says "$count runs have passed, and their histories are linearizable; $reads answers are those of reads"
    rm "${files[@]}"
}

# Over the fixed seeds everything that is counted has happened, but for `files-intact`: one run of a hundred has it, and
# SimulationSummary.rare leaves it out. ExchangedFilesTests goes through the files that leave a member intact.
fixed_seeds() {
    simulated "$1" "$FIRST_SEED" "$FIXED_SEEDS" --require-counters
    holds 'the summary has no counters' [ "$(sed -n '/^  counted: /,/^  histories /p' "$STEP_DIR/runs" \
        | grep -cE '^ +(counted: )?([a-z-]+=[0-9]+ ?){2,}$')" -ge 5 ]
}

step_fixed_seeds_3() { fixed_seeds 3; }
step_fixed_seeds_5() { fixed_seeds 5; }

random_seeds() {
    says "to replay: swift run -c release balsa simulate --members $1 --seeds $GATE_SEED..$((GATE_SEED + RANDOM_SEEDS - 1))"
    simulated "$1" "$GATE_SEED" "$RANDOM_SEEDS"
}

step_random_seeds_3() { random_seeds 3; }
step_random_seeds_5() { random_seeds 5; }

# A member that was down for many puts comes back by a checkpoint.
step_catching_up() {
    exits 0 "$(release)/balsa" simulate --catch-up 200000 >"$STEP_DIR/runs"
    cat "$STEP_DIR/runs"
    holds 'the member has got no checkpoint' grep -qE 'checkpoints-installed=[1-9]' "$STEP_DIR/runs"
}

# The same seeds in two processes, one of which is read along with, give the same lines with the same hashes, and so they do in a
# debug build.
step_determinism() {
    local seed
    # Two at once here, one alone there: that is compared, too.
    exits 0 "$(release)/balsa" simulate --seeds 1..10 --duration 20s --jobs 2 >"$STEP_DIR/first"
    for seed in 1 2 3 4 5 6 7 8 9 10; do
        exits 0 "$(release)/balsa" simulate --seed "$seed" --duration 20s --trace "$STEP_DIR/trace" >>"$STEP_DIR/second"
        holds "seed $seed has no trace" [ -s "$STEP_DIR/trace" ]
        rm "$STEP_DIR/trace"
    done
    grep '^seed ' "$STEP_DIR/first" >"$STEP_DIR/one"
    grep '^seed ' "$STEP_DIR/second" >"$STEP_DIR/many"
    says "$(awk '{ print $1, $2, $3, $(NF - 1), $NF }' "$STEP_DIR/one")"
    holds 'ten seeds were run' [ "$(grep -cE '^seed [0-9]+ ok .* hash [0-9a-f]{16}$' "$STEP_DIR/one")" -eq 10 ]
    holds 'the hashes are not ten different ones' [ "$(awk '{ print $NF }' "$STEP_DIR/one" | sort -u | wc -l)" -eq 10 ]
    holds 'the runs differ in another process' diff "$STEP_DIR/one" "$STEP_DIR/many"
    # The debug build that `swift test` has left is used again here.
    exits 0 swift build --product balsa >/dev/null
    exits 0 "$(swift build --show-bin-path)/balsa" simulate --seeds 1..3 --duration 5s >"$STEP_DIR/debug"
    exits 0 "$(release)/balsa" simulate --seeds 1..3 --duration 5s >"$STEP_DIR/optimized"
    holds 'three seeds were run by the debug build' \
        [ "$(grep -cE '^seed [0-9]+ ok .* hash [0-9a-f]{16}$' "$STEP_DIR/debug")" -eq 3 ]
    holds 'the runs differ in a debug build' \
        diff <(grep '^seed ' "$STEP_DIR/debug") <(grep '^seed ' "$STEP_DIR/optimized")
}

# Two writes, and a read that returns the second of them or one that nobody wrote.
step_history_checker() {
    local history=$STEP_DIR/history.log value
    for value in 2 3; do
        printf 'INFO  jepsen.util - %d\t:%s\t:%s\t%s\n' \
            0 invoke write 1  0 ok write 1  1 invoke write 2  1 ok write 2 \
            2 invoke read nil  2 ok read "$value" >"$history"
        exits $((value - 2)) "$(release)/balsa" check-history --model register "$history"
    done
    exits 2 "$(release)/balsa" check-history --model register "$STEP_DIR/missing.log"
}

# The names of the planted errors, from the page that a test compares with the catalogue.
planted_names() { sed -n 's/^| `\([a-z-]*\)` | .*/\1/p' Docs/PlantedBugs.md; }

# names_without PATTERN FILE: the planted errors for which FILE has no line with `planted NAME ` and PATTERN.
names_without() {
    planted_names | while read -r name; do grep -qE "^planted $name $1" "$2" || printf '%s ' "$name"; done
}

# The recorded seed of each planted error violates the invariant that the catalogue names, and nothing without the error.
step_planted() {
    exits 0 "$(release)/balsa" simulate --planted replay --jobs 1 >"$STEP_DIR/replayed" || true
    cat "$STEP_DIR/replayed"
    holds 'Docs/PlantedBugs.md names no planted error' [ -n "$(planted_names)" ]
    holds 'Docs/PlantedBugs.md and --break help name other planted errors' \
        diff <(planted_names) <("$(release)/balsa" simulate --break help)
    local wrong
    wrong=$(names_without 'seed .* ok$' "$STEP_DIR/replayed")
    # At the end of what is printed, where it is seen.
    grep ' WRONG: ' "$STEP_DIR/replayed" | head -n 5 || true
    holds "these have no recorded seed that is ok: $wrong" [ -z "$wrong" ]
}

# Each planted error is found by its invariant in as many of 100 seeds as the catalogue asks for.
step_planted_rates() {
    local wrong
    exits 0 "$(release)/balsa" simulate --planted rates --seeds 1..100 --until-enough >"$STEP_DIR/rates" || true
    cat "$STEP_DIR/rates"
    holds 'Docs/PlantedBugs.md names no planted error' [ -n "$(planted_names)" ]
    wrong=$(names_without '.* finds [1-9][0-9]* of [0-9]*, .* ok;' "$STEP_DIR/rates")
    holds "these have no rate that is ok: $wrong" [ -z "$wrong" ]
}
