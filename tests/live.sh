#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# tests/live.sh [LINE...]
#
# The live tests (tests/live), on this kernel where it lets programs be traced, and in a VM on each kernel line
# (default: all of them), two at a time. A run counts only if exactly the tests of tests/live/names ran and passed. There,
# what a test doesn't need each kernel for stands with the lines that it runs on: `files::a_closed_pipe_is_success 6.12`.
# What nobody wants done to a machine (its clock set, a CPU taken offline, the kernel locked down until the next boot) is ignored there
# and comes last in a VM. XDPTRACE_KILLS is how often a tracer is killed (20). XDPTRACE_CHURN is the number of rounds in which others' tools load and unload under a running tracer (3).
set -euo pipefail

cd "$(dirname "$(realpath "$0")")/.."
source tests/live/vm.sh
logs=target/live
mkdir -p "$logs"

unknown=$(cut -d' ' -f2- -s tests/live/names | tr ' ' '\n' | sort -u | grep -vxF "$(printf '%s\n' "${all_lines[@]}")") || true
[[ -z $unknown ]] || { echo "tests/live/names: no such kernel line: ${unknown//$'\n'/ }" >&2; exit 1; }

# names_that_passed LOG
names_that_passed() { sed -n 's/^test \([^ ]*\) \.\.\. ok$/\1/p' "$1" | sort; }

# report WHERE LOG STATUS NAMES [ELSEWHERE]: one line, and the log too unless everything ran and passed.
report() {
    local where=$1 log=$2 status=$3 elsewhere=${5-} missing
    missing=$(comm -13 <(names_that_passed "$log") <(sort <<<"$4"))
    local extra
    extra=$(comm -23 <(names_that_passed "$log") <(sort <<<"$4"))
    if [[ $status == 0 && -z $missing && -z $extra ]]; then
        echo "live tests on $where: $(names_that_passed "$log" | wc -l) passed${elsewhere:+, $elsewhere on other lines only}"
        return 0
    fi
    cat "$log"
    echo "live tests on $where: exit status $status; did not run and pass: ${missing//$'\n'/ }; not in tests/live/names: $extra"
    return 1
}

# A NIC of several queues takes a tap at its other end, which can't be had everywhere.
queues=''
if tests/vm/tap true 2>/dev/null; then
    queues='--queues 4'
else
    echo "live tests: no tap can be had here (tests/vm/tap): virtio-net is tested with one queue only"
fi

# Everything but what needs the VM's own NICs, or would do the machine something.
on_this_kernel() {
    local sudo='' log=$logs/host status=0
    ((UID == 0)) || sudo=sudo
    if $sudo tests/demo.sh target/release/xdptrace >"$log" 2>&1 || (($? != 3)); then
        $sudo env XDPTRACE_CHURN="${XDPTRACE_CHURN:-3}" XDPTRACE_KILLS="${XDPTRACE_KILLS:-20}" "$tests" --test-threads=1 \
            --skip virtio_ --skip vmxnet3_ >"$log" 2>&1 || status=$?
        report "this kernel" "$log" "$status" "$(cut -d' ' -f1 tests/live/names | grep -vE '(virtio|vmxnet3)_' |
            grep -vxFf <("$tests" --list --ignored --format terse | sed -n 's/: test$//p'))"
    else
        # That it is refused in one line with the remedy is itself what is tested here; also where the target is
        # missing, because mending that would not help.
        echo "live tests on this kernel: it refuses fentry and fexit, so only the refusal is tested"
        refused='xdptrace: failed to load fentry and fexit for .*: this kernel refuses .* VM'
        grep -x "$refused" "$log" || { cat "$log"; return 1; }
        $sudo target/release/xdptrace -i nosuch 2>"$log" || status=$?
        ((status == 3)) && grep -qx "$refused" "$log" || { cat "$log"; return 1; }
    fi
}

in_a_vm() {
    local line=$1 log=$logs/$1 status=0 rounds=${XDPTRACE_CHURN:-3} kills=${XDPTRACE_KILLS:-20} elsewhere skipped
    mapfile -t elsewhere < <(names_elsewhere "$line")
    [[ $queues ]] || elsewhere+=(drivers::virtio_queues_are_those_that_the_program_sees)
    skipped=$(printf ' --skip %s' "${elsewhere[@]}")
    ((${#elsewhere[@]})) || skipped=''
    tests/vm/run --line "$line" --timeout $((1000 + 20 * rounds)) --net $queues \
        --qemu-opts "$emulation -netdev user,id=lro,restrict=on,net=10.0.3.0/24 -device vmxnet3,netdev=lro" \
        -- bash -c "uname -r; modprobe vmxnet3; export XDPTRACE_CHURN=$rounds XDPTRACE_KILLS=$kills; $tests --test-threads=1 --exact$skipped &&
            exec $tests --test-threads=1 --exact$skipped --ignored" \
        >"$log" 2>&1 || status=$?
    report "$line ($(head -1 "$log"))" "$log" "$status" "$(comm -23 <(names_on "$line" | sort) <(printf '%s\n' "${elsewhere[@]}" | sort))" \
        "${#elsewhere[@]}"
}

failed=0
on_this_kernel || failed=1
fetch_kernels
on_each_line in_a_vm || failed=1
exit "$failed"
