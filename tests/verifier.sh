#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# tests/verifier.sh CLANG...
#
# Has each kernel line's verifier look at each BPF program, as each of these clangs compiles it (paths; the first is the one
# whose figures are kept), and prints how many instructions it looked at, and how deep the stack is: `34:16+8`, its own and
# its functions'. Fails where the test in tests/live/verifier.rs does. The kept clang's figures are left in
# target/verifier/known, to be put in the place of tests/live/verifier/known where they are right.
set -euo pipefail

cd "$(dirname "$(realpath "$0")")/.."
lines=(5.10 6.1 6.12 7)
logs=target/verifier
test=verifier::programs_take_no_more_of_the_verifier_than_is_known
mkdir -p "$logs"
(($#)) || { echo "tests/verifier.sh: name a clang" >&2; exit 2; }

# build CLANG: the live tests, and with them the BPF programs; their path.
build() {
    local log
    log=$(CLANG=$1 cargo test --color never --target-dir target --locked --features live --test live --no-run 2>&1) ||
        { printf '%s\n' "$log" >&2; return 1; }
    sed -n 's/^ *Executable .*(\(.*\))$/\1/p' <<<"$log"
}

emulation='-cpu qemu64 -accel tcg,thread=single'
[[ ${XDPTRACE_KVM-} != 1 ]] || emulation=''

# look VERSION LINE TESTS: a guest's words into $logs/VERSION-LINE.
look() {
    tests/vm/run --line "$2" --timeout 300 --qemu-opts "$emulation" \
        -- "$3" --test-threads=1 --nocapture --exact "$test" >"$logs/$1-$2" 2>&1 &&
        grep -q '^verifier: ' "$logs/$1-$2"
}

# table VERSION: a row a program, a column a kernel line.
table() {
    local files=("${lines[@]/#/$logs/$1-}")
    awk -v columns="${#lines[@]}" '
        FNR == 1 { column++ }
        $1 == "verifier:" { names[$2]; figures[$2, column] = $3 }
        END {
            for (name in names) {
                row = sprintf("%-36s", name)
                for (column = 1; column <= columns; column++)
                    row = row sprintf(" %14s", (name, column) in figures ? figures[name, column] : "-")
                print row
            }
        }' "${files[@]}" | sort
}

failed=0 kept=''
for line in "${lines[@]}"; do tests/vm/kernel "$line" >/dev/null; done
for clang; do
    version=$("$clang" --version | sed -n 's/.*version \([0-9]*\).*/\1/p')
    tests=$(build "$clang") || exit 1
    for pair in '0 1' '2 3'; do
        jobs=()
        for number in $pair; do
            look "$version" "${lines[number]}" "$tests" &
            jobs+=($!)
        done
        for job in "${jobs[@]}"; do wait "$job" || failed=1; done
    done
    printf '\n%-36s' "clang $version"
    printf ' %14s' "${lines[@]}"
    echo
    table "$version"
    for line in "${lines[@]}"; do
        grep -q '^test result: ok' "$logs/$version-$line" || { echo "clang $version on $line:"; grep -v '^verifier: ' "$logs/$version-$line"; }
    done
    [[ $kept ]] || kept=$version
done
{
    echo "# Instructions looked at and bytes of stack on ${lines[*]}, with clang $kept: \`make verifier\` makes this file."
    table "$kept"
} >"$logs/known"
cmp -s "$logs/known" tests/live/verifier/known || echo "the figures of clang $kept are other ones: if they are right, cp $logs/known tests/live/verifier/known"
exit "$failed"
