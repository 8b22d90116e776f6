# The steps of the gate that run the tests, and that compare what ran with what there is. `.ci/step` calls them.
#
# They share, in GATE_DIR: tests.log, the output of `swift test`; ran, failed and skipped, a sorted list of tests each, as
# target.class/test.

# The README's command. Each test runs in a process of its own, so that all cores are used; only -v shows which were skipped.
step_tests() {
    local log=$GATE_DIR/tests.log status=0
    holds 'the README does not name the command that runs here' \
        grep -qxF 'swift test --disable-swift-testing --parallel --num-workers $(($(nproc) + 1))' README.md
    swift test --disable-swift-testing --parallel --num-workers $(($(nproc) + 1)) -v --xunit-output "$GATE_DIR/tests.xml" \
        >"$log" 2>&1 || status=$?
    if [ ! -s "$GATE_DIR/tests.xml" ]; then
        # Nothing ran: the build has failed. What matters stands before the end of the log.
        grep -aE ': error: |^error: |Fatal error: ' "$log" | head -n 30 || tail -n 30 "$log"
        holds "swift test ran no tests, exit status $status" false
    fi
    read_outcomes
    local passed failed skipped
    failed=$(wc -l <"$GATE_DIR/failed")
    skipped=$(wc -l <"$GATE_DIR/skipped")
    passed=$(($(wc -l <"$GATE_DIR/ran") - failed - skipped))
    printf '%d %d %d\n' "$passed" "$failed" "$skipped" >"$GATE_DIR/test-counts"
    says "$passed tests passed, $failed failed, $skipped skipped"
    if [ "$failed" -gt 0 ]; then
        grep -aE ': error: |Fatal error: |Precondition failed: ' "$log" | cut -c 1-300 | head -n 30 || true
        sed 's/^/failed: /' "$GATE_DIR/failed"
    fi
    holds "$failed tests failed" [ "$failed" -eq 0 ]
    holds "swift test exits with $status" [ "$status" -eq 0 ]
    holds 'no test passed' [ "$passed" -gt 0 ]
    # Each process says how its test ended, and that has to be what the package manager has counted.
    local said
    said=$(grep -acE "^Test Case '[^']*' passed \(" "$log" || true)
    holds "the output has $said passed tests, and not $passed" [ "$said" -eq "$passed" ]
}

# Reads tests.xml and tests.log.
read_outcomes() {
    awk -v ran="$GATE_DIR/ran" -v failed="$GATE_DIR/failed" '
        function attribute(name,    parts) {
            if (split($0, parts, " " name "=\"") < 2) return ""
            sub(/".*/, "", parts[2])
            return parts[2]
        }
        BEGIN { printf "" >ran; printf "" >failed }
        /<testcase / { test = attribute("classname") "/" attribute("name"); print test >ran }
        /<failure|<error/ { print test >failed }
    ' "$GATE_DIR/tests.xml"
    # …/Tests/TARGET/….swift:LINE: CLASS.TEST : Test skipped - REASON
    { grep -aE '^[^ ]*/Tests/[A-Za-z]+/.*: [A-Za-z0-9_]+\.test[A-Za-z0-9_]* : Test skipped' "$GATE_DIR/tests.log" || true; } |
        sed -E 's|^[^ ]*/Tests/([A-Za-z]+)/[^ ]*: ([A-Za-z0-9_]+)\.(test[A-Za-z0-9_]*) : Test skipped.*|\1.\2/\3|' \
            >"$GATE_DIR/skipped"
    local name
    for name in ran failed skipped; do sort -u -o "$GATE_DIR/$name" "$GATE_DIR/$name"; done
}

# Every test function of the sources, as target.class/test; of a class that inherits tests, those of its superclass, too.
list_sources() {
    find Tests -name '*.swift' -path 'Tests/*Tests/*' | sort | xargs awk '
        FNR == 1 { split(FILENAME, path, "/"); target = path[2]; type = "?" }
        /^(public |package |internal |private |fileprivate |final |open |@[A-Za-z]+ )*(class|extension|struct|enum|actor) / {
            line = $0
            sub(/^(.* )?(class|extension|struct|enum|actor) /, "", line)
            type = line
            sub(/[^A-Za-z0-9_.].*/, "", type)
            if (line ~ /^[A-Za-z0-9_]+: *[A-Za-z0-9_]+/) {
                super = line
                sub(/^[A-Za-z0-9_]+: */, "", super)
                sub(/[^A-Za-z0-9_].*/, "", super)
                if ($0 ~ /(^| )class /) supers[target "." type] = target "." super
            }
        }
        # Formatted sources have the functions of a type there. Deeper are sources inside of a text, which some tests are given.
        /^    ([@A-Za-z]+ )*func test[A-Za-z0-9_]*\(\)/ {
            line = $0
            sub(/^.*func /, "", line)
            sub(/\(\).*/, "", line)
            tests[target "." type] = tests[target "." type] " " line
        }
        # A test of another kind, which the command does not run.
        /@Test([^A-Za-z0-9_]|$)/ { print target "." type "/@Test of line " FNR }
        END {
            for (class in supers) if (!(class in tests)) tests[class] = ""
            for (class in tests) {
                for (at = class; at != ""; at = at in supers ? supers[at] : "") {
                    count = split(tests[at], names, " ")
                    for (number = 1; number <= count; number++) print class "/" names[number]
                }
            }
        }
    ' | sort -u
}

# A test target that is left out, a file that is excluded, and a class that is no test case are found here.
step_test_list() {
    holds 'no tests have run' [ -s "$GATE_DIR/ran" ]
    list_sources >"$STEP_DIR/sources"
    swift test list --disable-swift-testing --skip-build 2>/dev/null | grep -E '^[A-Za-z0-9_]+\.[A-Za-z0-9_]+/' |
        sort -u >"$STEP_DIR/listed"
    holds 'the sources have no tests' [ -s "$STEP_DIR/sources" ]
    says "$(wc -l <"$STEP_DIR/sources") tests are in the sources, $(wc -l <"$STEP_DIR/listed") are listed, $(wc -l <"$GATE_DIR/ran") have run"
    comm -23 "$STEP_DIR/sources" "$GATE_DIR/ran" >"$STEP_DIR/missing"
    comm -23 "$STEP_DIR/listed" "$GATE_DIR/ran" >"$STEP_DIR/unrun"
    comm -13 "$STEP_DIR/sources" "$GATE_DIR/ran" >"$STEP_DIR/unknown"
    holds "these tests are in the sources and have not run: $(head -n 20 "$STEP_DIR/missing")" [ ! -s "$STEP_DIR/missing" ] ||
        true
    holds "these tests are listed and have not run: $(head -n 20 "$STEP_DIR/unrun")" [ ! -s "$STEP_DIR/unrun" ] || true
    holds "these tests have run and are not found in the sources: $(head -n 20 "$STEP_DIR/unknown")" \
        [ ! -s "$STEP_DIR/unknown" ] || true
}

without_conformance_data() { [ -z "${BALSA_CONFORMANCE:-}" ]; }

without_mounts() {
    mkdir -p "$STEP_DIR/mounted"
    if mount -t tmpfs -o size=1m tmpfs "$STEP_DIR/mounted" 2>/dev/null; then
        umount "$STEP_DIR/mounted"
        return 1
    fi
}

without_process_namespaces() {
    local options=(--pid --fork)
    [ "$(id -u)" -eq 0 ] || options+=(--user --map-root-user)
    ! unshare "${options[@]}" true 2>/dev/null
}

without_immutable_files() {
    mkdir -p "$STEP_DIR/immutable"
    if chattr +i "$STEP_DIR/immutable" 2>/dev/null; then
        chattr -i "$STEP_DIR/immutable"
        return 1
    fi
}

without_ipv6_loopback() { ! grep -q '^0\{31\}1 ' /proc/net/if_inet6 2>/dev/null; }

with_few_descriptors() {
    local limit
    limit=$(ulimit -Hn)
    [ "$limit" != unlimited ] && [ "$limit" -lt 1500 ]
}

# Compares what was skipped with skips.table.
step_test_skips() {
    local test name condition reason is_allowed said
    holds 'no tests have run' [ -s "$GATE_DIR/ran" ]
    said=$(grep -acE "^Test Case '[^']*' skipped \(" "$GATE_DIR/tests.log" || true)
    holds "the output has $said skips, of which $(wc -l <"$GATE_DIR/skipped") say where and why" \
        [ "$said" -eq "$(wc -l <"$GATE_DIR/skipped")" ]
    while read -r test; do
        is_allowed=no
        while IFS='|' read -r name condition reason; do
            read -r name <<<"$name"
            read -r condition <<<"$condition"
            case $name in '' | '#'*) continue ;; esac
            [ "$test" = "$name" ] && "$condition" || continue
            is_allowed=yes
            says "skipped: $test:$reason"
            break
        done <.ci/skips.table
        holds "$test was skipped, which .ci/skips.table does not allow here" [ "$is_allowed" = yes ] || true
    done <"$GATE_DIR/skipped"
}
