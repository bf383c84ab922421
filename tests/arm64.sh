#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# tests/arm64.sh PACKAGE...
#
# The live tests (tests/live) on arm64, emulated: those that run on line 6.12, exactly, and all are to pass; then, on a kernel whose
# arm64 has no BPF trampolines, that `check` says so. PACKAGEs are what they need of the guest's system. Needs root and debootstrap.
#
# Cross-built in a Debian of this machine's architecture that has a standard library for both (target/roots/cross), because a toolchain
# from elsewhere need not have arm64's; run in one of arm64's (target/roots/arm64). Both are kept for a week. Takes half an hour, and
# as long again where nothing is built yet.
set -euo pipefail

cd "$(dirname "$(realpath "$0")")/.."
suite=trixie
cross=target/roots/cross guest=target/roots/arm64
logs=target/live
mkdir -p "$logs"

# made ROOT PACKAGE...: whether it is there already, and new enough.
made() { [[ $(find "$1.made" -mtime -7 2>/dev/null) && $(<"$1.made") == "${*:2}" ]]; }

# make_root ROOT COMMAND PACKAGE...: ROOT by COMMAND ROOT PACKAGE..., unless it is made already.
make_root() {
    local root=$1 by=$2
    shift 2
    ! made "$root" "$@" || return 0
    echo "arm64: making $root"
    rm -rf "$root" "$root.made"
    "$by" "$root" "$@"
    echo "$*" >"$root.made"
}

# Of both architectures: what cargo builds to build with runs here.
by_apt() {
    local log=$1/var/log/tests-arm64.log
    tests/roots/new "$suite" "$1"
    {
        tests/roots/in "$1" dpkg --add-architecture arm64
        tests/roots/in "$1" apt-get update -qq
        tests/roots/in "$1" env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "${@:2}"
    } >"$log" 2>&1 || { tail -n 20 "$log" >&2; return 1; }
}
by_debootstrap() { tests/roots/unpacked "$suite" arm64 "$@"; }

# The project is there where it is here, for the tests know where they were built. Cargo keeps what it downloads in that root.
# What the linker would optimise takes longer to build than it saves here.
in_cross() {
    tests/roots/in --share "$PWD:$PWD" "$cross" env -C "$PWD" PKG_CONFIG_ALLOW_CROSS=1 \
        PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/share/pkgconfig \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc CARGO_PROFILE_RELEASE_LTO=off \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 "$@"
}
build() {
    local log=$logs/arm64-build
    in_cross cargo test --color never --target-dir "$PWD/target/arm64" --target aarch64-unknown-linux-gnu --release --locked \
        --features live --test live --no-run >"$log" 2>&1 || { cat "$log"; return 1; }
    tests=$(sed -n 's/^ *Executable .*(\(.*\))$/\1/p' "$log")
}

# Before Linux 6.0 fentry and fexit load there, and can't be attached.
check_without_trampolines() {
    local line=$1 log=$logs/$1 status=0 words='this architecture.s kernel has no BPF trampolines, .*: run Linux 6.0 or newer'
    tests/vm/run --line "$line" --root "$guest" --timeout 300 --qemu-opts "$emulation" -- \
        bash -c "uname -r; target/arm64/aarch64-unknown-linux-gnu/release/xdptrace check" >"$log" 2>&1 || status=$?
    if ((status == 3)) && grep -q "^trampolines: no: $words" "$log" &&
        grep -q "^xdptrace: tracing will not work: trampolines: $words" "$log"; then
        echo "live tests on $line ($(head -1 "$log")): it has no BPF trampolines, and check says so"
        return 0
    fi
    cat "$log"
    echo "live tests on $line: exit status $status; check says nothing of the BPF trampolines that are missing"
    return 1
}

make_root "$cross" by_apt cargo clang gcc gcc-aarch64-linux-gnu libc6-dev make pkg-config rustc \
    {libelf,libpcap,zlib1g}-dev {libc6,libelf,libpcap,zlib1g}-dev:arm64 libstd-rust-dev:arm64
make_root "$guest" by_debootstrap busybox-static kmod prometheus "$@"
echo "arm64: building"
build
set -- 6.12-arm64 5.10-arm64
source tests/live/vm.sh
# The default model of tests/vm/run is none of the processors that qemu emulates slowly.
emulation='-accel tcg,thread=single'
# What is unpacked there for this machine is of its architecture.
before='[ ! -e target/prometheus ] || mount -t tmpfs tmpfs target/prometheus;'
fetch_kernels
find_queues
failed=0
check_without_trampolines 5.10-arm64 || failed=1
live_tests_in_a_vm 6.12-arm64 6.12 7200 --root "$guest" || failed=1
exit "$failed"
