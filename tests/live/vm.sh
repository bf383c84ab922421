# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# What tests/live.sh, tests/soak.sh and others have in common, to be sourced in the project's root: $tests, the binary of the
# live tests, is built where it isn't given, and the kernel lines, which are $lines, are fetched by `fetch_kernels`.

# Two at a time: those first that have the most to do.
all_lines=(7 6.1 5.10 6.12)
lines=("$@")
((${#lines[@]})) || lines=("${all_lines[@]}")

# Optimised, because the guests are emulated.
if [[ -z ${tests-} ]]; then
    build_log=$(cargo test --color never --target-dir target --release --locked --features live --test live --no-run 2>&1) || { printf '%s\n' "$build_log" >&2; exit 1; }
    tests=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' <<<"$build_log")
fi

# names_on LINE: those that run there; names_elsewhere LINE: those that run on other lines only.
names_on() { awk -v line="$1" 'NF == 1 { print $1 } { for (i = 2; i <= NF; i++) if ($i == line) print $1 }' tests/live/names; }
names_elsewhere() { comm -13 <(names_on "$1" | sort) <(cut -d' ' -f1 tests/live/names | sort); }

# qemu64: every extension of a processor that has to be emulated costs time, and the default has them all. One thread
# emulates both of a guest's processors: with more than one of them to a real one, the guest spins on locks instead.
emulation='-cpu qemu64 -accel tcg,thread=single'
[[ ${XDPTRACE_KVM-} != 1 ]] || emulation=''

# One after the other, and before the first guest's time begins to run.
fetch_kernels() {
    local line
    for line in "${lines[@]}"; do tests/vm/kernel "$line" >/dev/null; done
}

# on_each_line COMMAND: COMMAND LINE for each line, two at a time; fails if one did.
on_each_line() {
    local line running=0 failed=0
    for line in "${lines[@]}"; do
        if ((running == 2)); then
            wait -n || failed=1
            ((running -= 1))
        fi
        "$1" "$line" &
        ((running += 1))
    done
    while ((running)); do
        wait -n || failed=1
        ((running -= 1))
    done
    return "$failed"
}

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
find_queues() {
    if tests/vm/tap true 2>/dev/null; then
        queues='--queues 4'
    else
        echo "live tests: no tap can be had here (tests/vm/tap): virtio-net is tested with one queue only"
    fi
}

# live_tests_in_a_vm LINE LIKE SECONDS [OPTIONS...]: the tests of line LIKE on line LINE, within SECONDS and what their rounds take;
# OPTIONS are tests/vm/run's. $before is done first in the guest, where it is set.
live_tests_in_a_vm() {
    local line=$1 like=$2 seconds=$3 log=$logs/$1 status=0 rounds=${XDPTRACE_CHURN:-3} kills=${XDPTRACE_KILLS:-20} elsewhere skipped
    mapfile -t elsewhere < <(names_elsewhere "$like")
    [[ $queues ]] || elsewhere+=(drivers::virtio_queues_are_those_that_the_program_sees)
    skipped=$(printf ' --skip %s' "${elsewhere[@]}")
    ((${#elsewhere[@]})) || skipped=''
    tests/vm/run --line "$line" --timeout $((seconds + 20 * rounds)) --net $queues "${@:4}" \
        --qemu-opts "$emulation -netdev user,id=lro,restrict=on,net=10.0.3.0/24 -device vmxnet3,netdev=lro" \
        -- bash -c "uname -r; ${before-} modprobe vmxnet3; export XDPTRACE_CHURN=$rounds XDPTRACE_KILLS=$kills; $tests --test-threads=1 --exact$skipped &&
            exec $tests --test-threads=1 --exact$skipped --ignored" \
        >"$log" 2>&1 || status=$?
    report "$line ($(head -1 "$log"))" "$log" "$status" "$(comm -23 <(names_on "$like" | sort) <(printf '%s\n' "${elsewhere[@]}" | sort))" \
        "${#elsewhere[@]}"
}
