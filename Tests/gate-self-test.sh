#!/usr/bin/env bash
# Breaks what the gate is to protect, one thing at a time, in a temporary copy of this tree, and shows that `.ci/run` reports
# each. Not part of the gate.
#
#   Tests/gate-self-test.sh [--keep DIR] [GROUP …]
#
#   --keep DIR   works in DIR and leaves it, so that the next run need not build everything again
#   GROUP        runs only the breakages of these groups: gate, warnings, tests, consumer, simulation, planted, demo, benchmark,
#                races, pages (default: all)
#
# Each group of steps first runs unbroken and has to pass. Then each breakage of it is made, the same steps run again, and they
# have to fail with the sentence that names the breakage. A patch fails loudly if the text that it replaces is not there exactly
# once. The copy keeps only a few test targets, so that a run of its tests takes seconds: what is tested here is the gate and
# not the package. Prints a line for each breakage; the last line is "N passed, N failed".
set -euo pipefail
package=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

readonly KEPT_TESTS='BalsaWireTests BalsaCommandTests'
readonly TAIL_LINES=30

work=''
keep=''
groups=()
while [ $# -gt 0 ]; do
    case $1 in
    --keep)
        [ $# -ge 2 ] || { printf -- '--keep needs a folder\n' >&2; exit 2; }
        keep=$2
        shift
        ;;
    -*)
        printf 'usage: %s [--keep DIR] [GROUP …]\n' "$0" >&2
        exit 2
        ;;
    *) groups+=("$1") ;;
    esac
    shift
done
if [ -n "$keep" ]; then
    mkdir -p "$keep"
    work=$(cd "$keep" && pwd)
else
    work=$(mktemp -d)
fi
readonly tree=$work/tree log=$work/log saved=$work/saved

passed=0
failed=0
is_complete=no
finish() {
    [ -n "$keep" ] || rm -rf "$work"
    # A run that ends before its end has failed.
    [ "$is_complete" = yes ] || failed=$((failed + 1))
    printf '%d passed, %d failed\n' "$passed" "$failed"
    [ "$failed" -eq 0 ] || exit 1
}
trap finish EXIT

succeeds() {
    passed=$((passed + 1))
    printf 'passed  %s (%d s)\n' "$1" $((SECONDS - began))
}

fails() {
    failed=$((failed + 1))
    printf 'FAILED  %s (%d s)\n' "$1" $((SECONDS - began))
    [ ! -s "$log" ] || tail -n "$TAIL_LINES" "$log" | sed 's/^/        /'
}

# The conformance data of other projects is not for the copy.
unset BALSA_CONFORMANCE
began=$SECONDS

# MARK: The copy

# Copies all but what was built. Files keep their times, so that only what has changed is built again.
make_copy() {
    mkdir -p "$tree" "$saved"
    find "$tree" -mindepth 1 -maxdepth 1 ! -name .build -exec rm -rf {} +
    tar -C "$package" --exclude=./.build --exclude=./.git -cf - . | tar -xf - -C "$tree"
    local folder name
    for folder in "$tree"/Tests/*Tests; do
        name=${folder##*/}
        case " $KEPT_TESTS " in
        *" $name "*) ;;
        *)
            rm -r "$folder"
            drop_test_target "$name"
            ;;
        esac
    done
    # Package.swift is new every time. What follows from it is built again only if its text has changed.
    touch -r "$package/Package.swift" "$tree/Package.swift"
}

# drop_test_target NAME: takes a test target out of the copy's Package.swift.
drop_test_target() {
    awk -v name="$1" '
        /^        \.testTarget\(/ { inside = 1; block = ""; isWanted = 0 }
        inside {
            block = block $0 "\n"
            if ($0 ~ "name: \"" name "\"") isWanted = 1
            if ($0 ~ /^        \),$/ || $0 ~ /^        \.testTarget\(.*\),$/) {
                inside = 0
                if (isWanted) dropped++; else printf "%s", block
            }
            next
        }
        { print }
        END { exit dropped != 1 }
    ' "$tree/Package.swift" >"$work/package.swift" || broken "Package.swift has no test target $1"
    save Package.swift
    cat "$work/package.swift" >"$tree/Package.swift"
}

# broken "sentence": this script itself cannot go on.
broken() {
    printf 'FAILED  the self-test: %s\n' "$1" >&2
    exit 1
}

# MARK: Patches

changed=()

# save FILE: keeps a file of the copy for restore, once.
save() {
    [ ! -e "$saved/$1" ] || return 0
    mkdir -p "$(dirname "$saved/$1")"
    cp -p "$tree/$1" "$saved/$1"
    changed+=("$1")
}

# file_with TEXT FOLDER: the one Swift file below the folder that has this text.
file_with() {
    local found
    found=$(cd "$tree" && grep -rlF --include='*.swift' -- "$1" "$2" || true)
    [ -n "$found" ] && [ "$(wc -l <<<"$found")" -eq 1 ] || broken "not one file below $2 has '$1': $found"
    printf '%s\n' "$found"
}

# replace FILE OLD NEW: replaces a text that stands in the file exactly once.
replace() {
    local text rest
    [ -f "$tree/$1" ] || broken "there is no $1"
    text=$(cat "$tree/$1" && printf x)
    text=${text%x}
    rest=${text#*"$2"}
    [ "$rest" != "$text" ] || broken "$1 does not have: $2"
    [ "${rest#*"$2"}" = "$rest" ] || broken "$1 has more than once: $2"
    save "$1"
    printf '%s' "${text%%"$2"*}$3$rest" >"$tree/$1"
}

# append FILE TEXT: adds lines at the end of a file.
append() {
    save "$1"
    printf '%s\n' "$2" >>"$tree/$1"
}

# Takes back all patches since the last call.
restore() {
    local file
    for file in ${changed[@]+"${changed[@]}"}; do
        cat "$saved/$file" >"$tree/$file"
        rm "$saved/$file"
    done
    changed=()
}

# MARK: Running

declare -A is_unbroken=()

# gate STEP…: runs steps in the copy; their output is in the log.
gate() { (cd "$tree" && .ci/run --only "$@") >"$log" 2>&1 </dev/null; }

# shows_unbroken STEP…: shows once that steps pass as long as nothing is broken.
shows_unbroken() {
    local key="$*" status=0
    [ -z "${is_unbroken[$key]:-}" ] || return 0
    is_unbroken[$key]=no
    began=$SECONDS
    gate "$@" || status=$?
    if [ "$status" -eq 0 ] && grep -qE '^[1-9][0-9]* passed, 0 failed$' <<<"$(tail -n 1 "$log")"; then
        is_unbroken[$key]=yes
        succeeds "unbroken: $key"
    else
        fails "unbroken: $key"
    fi
}

# breaks "what" PATCH REASON STEP…: makes a breakage with the function PATCH, and wants the steps to fail, with a line that
# matches REASON in their output.
breaks() {
    local what=$1 patch=$2 reason=$3 status=0
    shift 3
    shows_unbroken "$@"
    began=$SECONDS
    "$patch"
    gate "$@" || status=$?
    restore
    if [ "$status" -eq 0 ]; then
        fails "$what: the gate has passed"
    elif ! grep -qE '^[0-9]+ passed, [1-9][0-9]* failed$' <<<"$(tail -n 1 "$log")"; then
        fails "$what: the last line does not count a failure"
    elif ! grep -qE -- "$reason" "$log"; then
        fails "$what: the output does not say: $reason"
    else
        printf '        %s\n' "$(grep -E -m 1 -- "$reason" "$log" | sed 's/^ *//' | cut -c 1-150)"
        succeeds "$what is reported"
    fi
}

# ends_by SIGNAL: sends a signal to a gate that waits for a step, and wants nothing of the step to be left.
ends_by() {
    local what="a gate that SIG$1 ends" status=0 gate pid try left=''
    began=$SECONDS
    export SELF_TEST_PIDS=$work/pids
    : >"$SELF_TEST_PIDS"
    patch_step_that_sleeps
    # As a terminal starts it: what nohup has this script ignore, the gate would ignore as well.
    (cd "$tree" && exec env --default-signal .ci/run --only 'swift format lint') >"$log" 2>&1 </dev/null &
    gate=$!
    for try in {1..600}; do
        [ "$(wc -l <"$SELF_TEST_PIDS")" -lt 3 ] || break
        sleep 0.1
    done
    kill "-$1" "$gate" || true
    wait "$gate" || status=$?
    restore
    while read -r pid; do
        # A process that has ended and that nobody has waited for has no command line.
        { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -q '^sleep 1000' || continue
        left+=" $pid"
        kill -KILL "$pid"
    done <"$SELF_TEST_PIDS"
    if [ "$(wc -l <"$SELF_TEST_PIDS")" -ne 3 ]; then
        fails "$what: its step has not begun"
    elif [ -n "$left" ]; then
        fails "$what leaves processes of its step:$left"
    elif [ "$status" -ne 1 ] || [ "$(tail -n 1 "$log")" != '0 passed, 1 failed' ]; then
        fails "$what: it exits with $status, and does not count its step as failed"
    else
        succeeds "$what ends its step"
    fi
}

# wants GROUP: whether the group was asked for.
wants() {
    local group
    [ "${#groups[@]}" -gt 0 ] || return 0
    for group in "${groups[@]}"; do [ "$group" != "$1" ] || return 0; done
    return 1
}

# MARK: Breakages

rm -rf "$saved"
make_copy
# The tree without most of its tests is what is unbroken here.
rm -rf "$saved"
changed=()

# The gate itself.

patch_step_without_function() {
    replace .ci/steps.table 'check-history tells right from wrong           | release build' '# left out | release build'
}
patch_step_removed() {
    patch_step_without_function
    replace .ci/steps-simulation.sh 'step_history_checker() {' 'unused_history_checker() {'
}
patch_step_that_checks_nothing() {
    replace .ci/steps.sh 'exits 0 swift format lint' 'true || exits 0 swift format lint'
}
patch_failure_in_a_subshell() {
    replace .ci/steps.sh 'exits 0 swift format lint' '(exits 7 true) || true; exits 0 swift format lint'
}
patch_step_that_is_not_started() {
    replace .ci/run '        start "$name"' '        [ "$name" = "swift format lint" ] || start "$name"'
}
patch_step_that_is_counted_twice() {
    replace .ci/run '        record "$name" passed' '        record "$name" passed; record "$name" passed'
}
# Its processes: one in the background, one in a session of its own, and the one that the step waits for.
patch_step_that_sleeps() {
    replace .ci/steps.sh '    exits 0 swift format lint --strict --parallel --recursive Sources Tests Benchmarks Package.swift' \
        '    local sleeps="echo \$\$ >>\"\$SELF_TEST_PIDS\"; exec sleep 1000"
    bash -c "$sleeps" &
    setsid bash -c "$sleeps" &
    exits 0 bash -c "$sleeps"'
}
patch_format() { append Sources/BalsaRaft/RaftOptions.swift 'let  misplaced=1'; }
patch_warning() {
    append Sources/BalsaCommand/Demo/KeptPorts.swift 'func warned() { let neverUsed = 1 }'
}

if wants gate; then
    breaks 'a step whose function is no longer registered' patch_step_without_function \
        'the functions of .ci/steps\*.sh are not those' 'the pages name every step'
    breaks 'a step removed from the gate' patch_step_removed 'the page lists other steps' 'the pages name every step'
    breaks 'a step that checks nothing' patch_step_that_checks_nothing 'the step has checked nothing' 'swift format lint'
    breaks 'a failure in a subshell, ignored' patch_failure_in_a_subshell 'exit status 0 instead of 7: true' 'swift format lint'
    breaks 'a step that is not started' patch_step_that_is_not_started 'swift format lint: it did not run' 'swift format lint'
    breaks 'a step that is counted twice' patch_step_that_is_counted_twice 'it was counted more than once' 'swift format lint'
    breaks 'a formatting error' patch_format 'RaftOptions.swift:[0-9]+:[0-9]+: error: ' 'swift format lint'
    ends_by TERM
    ends_by HUP
fi
if wants warnings; then
    breaks 'a compiler warning' patch_warning "neverUsed.* was never used" 'build without warnings'
fi

# The tests.

readonly tests=('swift test' 'every test of the sources has run' 'only allowed tests were skipped')
readonly some_test='Tests/BalsaWireTests/SelfTest.swift'

# add_test BODY: a file with one test.
add_test() {
    : >"$tree/$some_test"
    append "$some_test" "import XCTest

final class SelfTest: XCTestCase {
    func testSomething() throws {
        $1
    }
}"
}
patch_failing_test() { add_test 'XCTAssertEqual(1, 2)'; }
patch_dying_test() { add_test 'precondition([1].isEmpty, "it dies")'; }
patch_skip() { add_test 'throw XCTSkip("there is no reason for this")'; }
patch_skip_by_pattern() {
    patch_skip
    append .ci/skips.table 'BalsaWireTests.SelfTest/* | without_conformance_data | tests are skipped by their names only'
}
patch_target_left_out() { drop_test_target BalsaWireTests; }
patch_file_excluded() {
    add_test 'XCTAssertEqual(1, 1)'
    replace Package.swift 'name: "BalsaWireTests",
            dependencies: ["BalsaWire", "BalsaPlatform", "BalsaRaft"],' 'name: "BalsaWireTests",
            dependencies: ["BalsaWire", "BalsaPlatform", "BalsaRaft"],
            exclude: ["SelfTest.swift"],'
}
patch_class_without_tests() {
    add_test 'XCTAssertEqual(1, 1)'
    sed -i 's/: XCTestCase {/ {/' "$tree/$some_test"
}
patch_new_kind_of_test() {
    append Tests/BalsaWireTests/Messages/WireSamples.swift '// @Test func somethingElse() {}'
}
patch_read_back_accepts_everything() {
    replace "$(file_with '== value ? .there : .lost' Sources/BalsaCommand)" '== value ? .there : .lost' '== value ? .there : .there'
}

if wants tests; then
    breaks 'a test that fails' patch_failing_test 'failed: BalsaWireTests.SelfTest/testSomething' "${tests[@]}"
    breaks 'a test that ends its process' patch_dying_test 'failed: BalsaWireTests.SelfTest/testSomething' "${tests[@]}"
    breaks 'a new skip' patch_skip \
        'BalsaWireTests.SelfTest/testSomething was skipped, which .ci/skips.table does not allow' "${tests[@]}"
    breaks 'a skip that a pattern allows' patch_skip_by_pattern \
        'BalsaWireTests.SelfTest/testSomething was skipped, which .ci/skips.table does not allow' "${tests[@]}"
    breaks 'a test target left out of Package.swift' patch_target_left_out \
        'these tests are in the sources and have not run: BalsaWireTests' "${tests[@]}"
    breaks 'a test file excluded' patch_file_excluded \
        'these tests are in the sources and have not run: BalsaWireTests.SelfTest/testSomething' "${tests[@]}"
    breaks 'a test class that is none' patch_class_without_tests \
        'these tests are in the sources and have not run: BalsaWireTests.SelfTest/testSomething' "${tests[@]}"
    breaks 'a test of a kind that does not run' patch_new_kind_of_test \
        'these tests are in the sources and have not run: .*@Test' "${tests[@]}"
    breaks 'a read-back of the demo that accepts every value' patch_read_back_accepts_everything \
        'failed: BalsaCommandTests.DemoVerdictTests/testDemo_aValueIsWrong_isFailed' "${tests[@]}"
fi

# The package that depends on this one, and the example of the README.

patch_consumer_that_does_nothing() {
    replace Tests/Consumer/Sources/Consumer/Exercise.swift '    let log = Log()
' '    if CommandLine.argc >= 0 { return 0 }
    let log = Log()
'
}
patch_simulation_that_does_nothing() {
    replace Tests/Consumer/Sources/SimulationConsumer/main.swift '    var states = 0
' '    var states = 0
    if CommandLine.argc >= 0 { return 0 }
'
}
patch_program_without_lines() {
    local file=Tests/Consumer/Sources/SimulationConsumer/main.swift
    save "$file"
    sed -i 's|^\(print(.*)\)  // .*|\1|' "$tree/$file"
}
patch_example() { replace README.md '// true: the append' '// false: the append'; }

if wants consumer; then
    breaks 'a consumer that does nothing' patch_consumer_that_does_nothing 'has printed other lines' \
        'a package that depends on this one'
    breaks 'a simulated world that does nothing' patch_simulation_that_does_nothing \
        'SimulationConsumer has printed other lines' 'a package that depends on this one'
    breaks 'a program without lines to compare' patch_program_without_lines \
        'not every print of SimulationConsumer says' 'a package that depends on this one'
    breaks 'an example of a page changed' patch_example 'has printed other lines' 'a package that depends on this one'
fi

# Simulated clusters.

patch_undecided_searches() {
    replace "$(file_with 'var mostSearched = 200_000' Sources/BalsaSimulation)" \
        'var mostSearched = 200_000' 'var mostSearched = 10'
}
patch_zero_counter() {
    replace "$(file_with 'report.counters.sessionsExpired += world' Sources/BalsaSimulation)" \
        'report.counters.sessionsExpired += world' 'report.counters.repliesRepeated += world'
}
patch_hash_of_the_process() {
    local file
    file=$(file_with 'report.traceHash = world.trace.value' Sources/BalsaSimulation)
    replace "$file" 'report.traceHash = world.trace.value' 'report.traceHash = world.trace.value &+ UInt64(getpid())'
    append "$file" 'import func Glibc.getpid'
}
patch_history_checker_accepts_everything() {
    replace Sources/BalsaCommand/CheckHistory.swift 'static let notLinearizable: Int32 = 1' 'static let notLinearizable: Int32 = 0'
}
patch_history_left_out() {
    replace Sources/BalsaCommand/Simulate.swift 'if let path = arguments.historyFile {' \
        'if let path = arguments.historyFile, scenario.seed != 83 {'
}
patch_wrong_verdict() {
    replace Sources/BalsaCommand/CheckHistory.swift '\(file)\t\(check' '\(file)\tnot-\(check'
}
patch_state_check_returns_nothing() {
    replace "$(file_with 'if found == expected { return nil }' Sources/BalsaSimulation)" \
        'if found == expected { return nil }' 'if found.count >= 0 { return nil }'
}
patch_catalogue_row() {
    replace Sources/BalsaSimulation/Scenario/PlantedBugs+Catalogue.swift 'is executed like the first.",
            .exactlyOnce' 'is executed like the first.",
            .electionSafety'
}
patch_state_check_that_often_returns_nothing() {
    replace "$(file_with 'if found == expected { return nil }' Sources/BalsaSimulation)" \
        'if found == expected { return nil }' 'if found == expected || expected.count % 16 != 3 { return nil }'
}
patch_error_that_is_not_found() {
    replace "$(file_with 'where !options.plantedBugs.contains(.deduplicationOff)' Sources/BalsaKeyValue)" \
        'where !options.plantedBugs.contains(.deduplicationOff)' 'where options.plantedBugs.rawValue <= .max'
}

if wants simulation; then
    breaks 'undecided searches' patch_undecided_searches 'searches: [0-9]+ undecided, at most 2 allowed' 'simulate 3 members, fixed seeds'
    breaks 'a counter that stays zero' patch_zero_counter 'counters: never happened: sessions-expired' \
        'simulate 3 members, fixed seeds'
    breaks 'a run that depends on its process' patch_hash_of_the_process 'the runs differ in another process' \
        'runs repeat in another process'
    breaks 'a history checker that accepts everything' patch_history_checker_accepts_everything \
        'exit status 0 instead of 1: .* check-history' 'check-history tells right from wrong'
    breaks 'a history that is not written' patch_history_left_out 'there are 39 histories and not 40' \
        'simulate 3 members, fixed seeds'
    breaks 'a history that is not linearizable' patch_wrong_verdict '0 of 40 histories are linearizable, and not these: .*not-linearizable' \
        'simulate 3 members, fixed seeds'
fi
if wants planted; then
    breaks 'a planted error that another invariant finds' patch_catalogue_row \
        'planted deduplication-off .* WRONG: the catalogue names election-safety' 'planted errors are found'
    breaks 'a planted error that is not found' patch_error_that_is_not_found \
        'planted deduplication-off .* WRONG: the error is not found' 'planted errors are found'
    breaks 'a checker that returns nothing' patch_state_check_returns_nothing \
        'planted .* violated .* WRONG: ' 'planted errors are found'
    breaks 'a checker that finds an error too rarely' patch_state_check_that_often_returns_nothing \
        'planted .* equal-states finds [1-9][0-9]* of .* WRONG' 'planted errors are found often enough'
fi

# The demo.

patch_no_kills() {
    replace "$(file_with 'guard isDue, isWhole, let leader' Sources/BalsaCommand)" \
        'guard isDue, isWhole, let leader' 'guard isDue, isWhole, kills < 0, let leader'
}
patch_attack_without_kills() {
    replace Tests/demo-under-attack.sh 'kill -9 "$victim" 2>/dev/null || continue' 'kill -0 "$victim" 2>/dev/null || continue'
    replace Tests/demo-under-attack.sh 'readonly most_runs=20' 'readonly most_runs=1'
}

if wants demo; then
    breaks 'zero kills in the demo' patch_no_kills 'the leader was killed 0 times and not 10' 'demo, the leader killed ten times'
    breaks 'zero kills in the attack on the demo' patch_attack_without_kills 'only 0 members could be killed' 'demo under attack'
fi

# The benchmark.

patch_empty_benchmark() {
    replace Benchmarks/Smoke.swift 'func runSmoke(in folder: WorkFolder) async throws(BenchmarkError) {
' 'func runSmoke(in folder: WorkFolder) async throws(BenchmarkError) {
    guard folder.path.isEmpty else { return }
'
}
patch_wrong_value_in_storage() {
    local line='_ = WriteBatch.copy(value, to: raw, at: offset)'
    replace "$(file_with "$line" Sources/BalsaLSM)" "$line" "$line
            if value.count == 100, key.last == 55 { raw[offset + 99] ^= 1 }"
}

if wants benchmark; then
    breaks 'an empty benchmark' patch_empty_benchmark 'the benchmark has no row fillseq' 'benchmark'
    breaks 'a wrong value in storage' patch_wrong_value_in_storage \
        'balsa-bench: [a-z]+: the value of key [0-9]*7 is one that nobody wrote' 'benchmark'
fi

# Races.

patch_race_with_a_lock() {
    replace Tests/BalsaRaces/PlantedRace.swift '            place.count += 1
            if isLast { finished.withLock { $0 += 1 } }' '            finished.withLock {
                place.count += 1
                if isLast { $0 += 1 }
            }'
}
patch_value_that_is_not_planted() {
    replace Tests/BalsaRaces/main.swift 'checkStores(isPlanted: true)' 'checkStores(isPlanted: false)'
}
patch_race_in_the_package() {
    replace Tests/BalsaRaces/main.swift '        try checkEngine()
' '        try plantRace()
        try checkEngine()
'
}

if wants races; then
    breaks 'a planted race that is not reported' patch_race_with_a_lock 'exit status 0 instead of 66' \
        'the thread sanitizer reports a planted race'
    breaks 'a planted value that is not found' patch_value_that_is_not_planted 'the planted value is not named' \
        'the thread sanitizer reports a planted race'
    breaks 'a race' patch_race_in_the_package 'exit status 66 instead of 0' 'the thread sanitizer reports nothing else'
fi

# The pages. Their tests look at the sources of all tests, and only they are built.

with_pages() {
    local folder
    for folder in "$package"/Tests/*Tests; do
        [ -d "$tree/Tests/${folder##*/}" ] || cp -Rp "$folder" "$tree/Tests"
    done
    replace Package.swift '        .testTarget(
            name: "BalsaWireTests",' '        .testTarget(name: "BalsaTests", sources: ["Pages/PageClaims.swift", "Pages/PageClaimTests.swift"]),
        .testTarget(
            name: "BalsaWireTests",'
    changed=()
    rm -rf "$saved"
}
patch_guarantee() {
    local name
    name=$(grep -oE '`[A-Za-z]+Tests\.test[A-Za-z0-9_]+`' "$tree/README.md" | sort | uniq -u | head -n 1)
    replace README.md "$name" '`ReadmeTests.testNothing_ofThisName_exists`'
}

if wants pages; then
    with_pages
    breaks 'a guarantee with a test that does not exist' patch_guarantee \
        'ReadmeTests.testNothing_ofThisName_exists does not exist' 'swift test'
fi
is_complete=yes
