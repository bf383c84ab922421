#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# tests/soak.sh [LINE...]
#
# The faults of tests/live/faults.rs again and again, in a VM on each kernel line (default: all of them), two at a time; then
# many packets through a program that is traced with everything on, on 6.1 if that is among them. All traffic stays in the guests.
#
#   XDPTRACE_KILLS   how often a tracer is killed on each line (200)
#   XDPTRACE_ROUNDS  rounds of all other faults on each line (200)
#   XDPTRACE_LOAD    packets (10000000)
#
# Half a day with these numbers, where the guests are emulated. Each round and each run has its own limit of time, and the first
# that fails ends its line.
set -euo pipefail

cd "$(dirname "$(realpath "$0")")/.."
source tests/live/vm.sh
kills=${XDPTRACE_KILLS:-200} rounds=${XDPTRACE_ROUNDS:-200} packets=${XDPTRACE_LOAD:-10000000}
logs=target/soak
mkdir -p "$logs"
killed=faults::kill::nothing_is_left_of_a_tracer_that_is_killed_at_any_moment
load=load::everything_at_once_for_as_many_packets_as_asked_for

# in_guest LINE LOG SECONDS COMMAND: prints what it was, and the log where it failed.
in_guest() {
    local begun=$SECONDS status=0
    tests/vm/run --line "$1" --timeout "$3" --net --qemu-opts "$emulation" -- bash -ec "$4" >"$2" 2>&1 || status=$?
    if ((status)); then
        cat "$2"
        echo "soak: $2: exit status $status after $((SECONDS - begun)) s"
        return 1
    fi
    echo "soak: $2: passed in $((SECONDS - begun)) s"
}

# Also those that `make test` has on other lines alone.
elsewhere='losses::programs_that_come_and_go_in_a_flood_add_up
losses::a_tracer_stopped_in_a_flood_counts_what_it_loses
losses::the_last_runs_are_the_lost_ones
endings::a_reader_that_stopped_reading_does_not_hold_the_end_up'
names=$(cut -d' ' -f1 tests/live/names | grep '^faults::' | grep -vxF "$killed" | tr '\n' ' ')${elsewhere//$'\n'/ }

faults() {
    local line=$1
    if ((kills)); then
        in_guest "$line" "$logs/$line.kills" $((300 + 15 * kills)) \
            "XDPTRACE_KILLS=$kills $tests --test-threads=1 --nocapture --exact $killed" || return 1
    fi
    if ((rounds)); then
        in_guest "$line" "$logs/$line.faults" $((300 + 300 * rounds)) \
            "for round in \$(seq $rounds); do
                echo \"round \$round\"; timeout 600 $tests --test-threads=1 --nocapture --include-ignored --exact $names
            done" || return 1
    fi
}

failed=0
fetch_kernels
on_each_line faults || failed=1
if ((packets)); then
    line=6.1
    [[ " ${lines[*]} " == *" $line "* ]] || line=${lines[0]}
    # At a thousand a second, at worst.
    in_guest "$line" "$logs/$line.load" $((300 + packets / 1000)) \
        "XDPTRACE_LOAD=$packets $tests --test-threads=1 --nocapture --exact $load" || failed=1
    grep -hE '^resident|runs:' "$logs/$line.load" || failed=1
fi
exit "$failed"
