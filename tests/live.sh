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

find_queues

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

# A quiet machine takes ten minutes for the longest.
in_a_vm() { live_tests_in_a_vm "$1" "$1" 1800; }

failed=0
on_this_kernel || failed=1
fetch_kernels
on_each_line in_a_vm || failed=1
exit "$failed"
