#!/usr/bin/env bash
# Measures in how many of the seeds 1 to 100 each planted error is found, and writes what the catalogue records of it: a
# lower bound and a seed. Then the table of Docs/PlantedBugs.md. Takes a few minutes. Docs/PlantedBugs.md says when.
#
#   Tests/record-planted-errors.sh [NAME]     all errors, or the one of that name
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly RECORDS='Sources/BalsaSimulation/Scenario/PlantedRecord+All.swift'
readonly PAGE='Docs/PlantedBugs.md'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

swift build -c release --product balsa
balsa=$(swift build -c release --show-bin-path)/balsa
status=0
"$balsa" simulate --planted rates --seeds 1..100 --records "$RECORDS" ${1:+--break "$1"} || status=$?
swift build -c release --product balsa
"$balsa" simulate --planted table >"$work/table"
# The first table of the page is replaced, from its head to the last line that is a row.
awk -v table="$work/table" '
    /^\| name \| lies in / { while ((getline line < table) > 0) print line; inside = 1 }
    inside && /^\|/ { next }
    { inside = 0; print }
' "$PAGE" >"$work/page"
cp "$work/page" "$PAGE"
"$balsa" simulate --planted replay || status=$?
exit "$status"
