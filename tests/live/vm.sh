# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# What tests/live.sh and tests/soak.sh have in common, to be sourced in the project's root: $tests, the binary of the live tests,
# is built, and the kernel lines, which are $lines, are fetched by `fetch_kernels`.

# Two at a time: those first that have the most to do.
all_lines=(7 6.1 5.10 6.12)
lines=("$@")
((${#lines[@]})) || lines=("${all_lines[@]}")

# Optimised, because the guests are emulated.
build_log=$(cargo test --color never --target-dir target --release --locked --features live --test live --no-run 2>&1) || { printf '%s\n' "$build_log" >&2; exit 1; }
tests=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' <<<"$build_log")

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
