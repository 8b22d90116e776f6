#!/usr/bin/env bash
# Runs the demo with real files and kills its members from outside, at random moments of load, restart and read-back. Each run
# must end with exit status 0: nothing that was acknowledged is lost.
#
#   Tests/demo-under-attack.sh BALSA [KILLS] [FILE…]
#
#   BALSA   the command's executable, of a release build
#   KILLS   how many members to kill in all (default 20)
#   FILE    what to load (default: this package's sources, a part of them with CRLF, with repeated keys; and BALSA itself)
#
# Every file is loaded once without an attack. Then the first one is loaded again, under attack, until so many were killed.
set -euo pipefail

if [ $# -lt 1 ] || [ ! -x "$1" ]; then
    printf 'usage: %s BALSA [KILLS] [FILE…]\n' "$0" >&2
    exit 2
fi
readonly balsa=$1
readonly wanted=${2:-20}
case $wanted in
'' | *[!0-9]* | 0*)
    printf 'KILLS is a number from 1, not %s\n' "$wanted" >&2
    exit 2
    ;;
esac
shift $(($# < 2 ? $# : 2))
readonly most_runs=20            # a demo that ends before anybody is killed must not go on for ever
work=$(mktemp -d)
log=$work/demo.log
demo=0

finish() {
    [ "$demo" -eq 0 ] || kill "$demo" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

# The sources of the package, every third file with CRLF, and behind them keys that are repeated.
make_text() {
    local number=0 file
    cd "$(dirname "${BASH_SOURCE[0]}")/.."
    find Sources Tests Docs -type f \( -name '*.swift' -o -name '*.md' -o -name '*.c' -o -name '*.h' \) | sort |
        while read -r file; do
            number=$((number + 1))
            if [ $((number % 3)) -eq 0 ]; then sed 's/$/\r/' "$file"; else cat "$file"; fi
        done
    for number in $(seq 1 3000); do printf 'repeated-%d\tvalue %d\n' $((number % 100)) "$number"; done
}

if [ $# -gt 0 ]; then
    files=("$@")
else
    make_text >"$work/text"
    files=("$work/text" "$balsa")
fi

# fails "what": shows the end of the demo's output and ends.
fails() {
    tail -n 40 "$log"
    printf 'FAILED  %s\n' "$1"
    exit 1
}

# How far the demo is: the last line of its progress bar.
phase() { { grep -aoE "^(loading|reading back): [0-9]+ %" "$log" || true; } | tail -n 1; }

# The process of each member, as the demo said last.
pids() {
    { grep -aoE "^member [0-9]+: pid [0-9]+" "$log" || true; } | awk '{ pid[$2] = $4 } END { for (id in pid) print pid[id] }'
}

# alive PID: whether it is a member of this demo.
alive() { [ "$1" -gt 1 ] && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -q ' member --directory '; }

# passes "what": compares the verdict of the demo that has ended, and shows it.
passes() {
    local verdict
    verdict=$(grep -a '^verdict:' "$log" || true)
    case $verdict in
    'verdict: nothing was lost; '*) printf 'passed  %s: %s\n' "$1" "$verdict" ;;
    *) fails "$1: the verdict is '$verdict'" ;;
    esac
}

for file in "${files[@]}"; do
    "$balsa" demo "$file" >"$log" 2>&1 </dev/null || fails "demo of $(wc -l <"$file") lines, without an attack"
    passes "$(wc -l <"$file") lines, without an attack"
done

killed=0                         # how many members the demo has seen end with a signal 9
in_load=0
runs=0
while [ "$killed" -lt "$wanted" ]; do
    runs=$((runs + 1))
    [ "$runs" -le "$most_runs" ] || fails "only $killed members could be killed in $most_runs runs"
    : >"$log"
    sent=$killed
    "$balsa" demo "${files[0]}" --kills 0 >"$log" 2>&1 </dev/null &
    demo=$!
    while kill -0 "$demo" 2>/dev/null; do
        # From a twentieth of a second, in which a member that was killed has not come back, to most of a second.
        sleep "0.$(printf '%03d' $((50 + RANDOM % 800)))"
        now=$(phase)
        [ -n "$now" ] && [ "$now" != 'reading back: 100 %' ] && [ "$sent" -lt "$wanted" ] || continue
        # Two fifths are left for the read-back, which is much shorter.
        if [ "${now%%:*}" = loading ]; then
            [ $((in_load * 5)) -lt $((wanted * 3)) ] && [ $((RANDOM % 3)) -eq 0 ] || continue
        fi
        # Mostly one, and now and then all of them at once.
        victims=$(pids | shuf | head -n $((RANDOM % 5 == 0 ? 9 : 1)))
        for victim in $victims; do
            alive "$victim" && kill -9 "$victim" 2>/dev/null || continue
            sent=$((sent + 1))
            [ "${now%%:*}" != loading ] || in_load=$((in_load + 1))
            printf '        kill %d: pid %d, %s\n' "$sent" "$victim" "$now"
        done
    done
    status=0
    wait "$demo" || status=$?
    demo=0
    [ "$status" -eq 0 ] || fails "run $runs under attack: exit status $status"
    passes "run $runs under attack"
    # The demo kills none itself. A signal that met a process which was just ending counts for nothing.
    killed=$((killed + $(grep -ac '^member [0-9]*: ended (signal 9)' "$log" || true)))
done
[ "$killed" -ge "$wanted" ] || fails "$killed members were killed and not $wanted"
printf '%d members were killed in %d runs, and nothing was lost\n' "$killed" "$runs"
