#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# tests/demo.sh XDPTRACE
#
# The article's demo: two network namespaces joined by a veth pair, `xdptrace demo` on one end, pings from the other.
# Shows the tracer's lines as it prints them, and cleans up. Exit status: xdptrace's.
set -euo pipefail

xdptrace=$(realpath "$1")
here=xdptrace-demo-$$-here there=xdptrace-demo-$$-there
tracer=''

clean_up() {
    [[ -z $tracer ]] || kill "$tracer" 2>/dev/null || true
    ip netns delete "$here" 2>/dev/null || true
    ip netns delete "$there" 2>/dev/null || true
    rm -rf "$scratch"
}
scratch=$(mktemp -d)
trap clean_up EXIT

ip netns add "$here"
ip netns add "$there"
ip -n "$here" link add veth0 type veth peer name veth0 netns "$there"
ip -n "$here" address add 192.168.1.138/24 dev veth0
ip -n "$there" address add 192.168.1.12/24 dev veth0
ip -n "$here" link set veth0 up
ip -n "$there" link set veth0 up

# nsenter and not `ip netns exec`, which mounts another /sys over the one with the kernel's BTF and bpffs.
mkfifo "$scratch/lines"
nsenter --net="/run/netns/$here" "$xdptrace" demo --device veth0 >"$scratch/lines" &
tracer=$!
exec 3<"$scratch/lines"
while read -r -t 60 line <&3; do
    printf '%s\n' "$line"
    case $line in
        *'Listening events...')
            ip netns exec "$there" ping -n -q -c 3 -i 0.3 192.168.1.138 >/dev/null &
            ;;
        *'(fexit: XDP_'*)
            packets=$((${packets-0} + 1))
            if ((packets == 3)); then break; fi
            ;;
    esac
done
kill -INT "$tracer" 2>/dev/null || true # it may have given up already
status=0
wait "$tracer" || status=$?
tracer=''
((status)) || ((${packets-0} == 3)) || { echo "tests/demo.sh: no three packets within a minute" >&2; status=1; }
exit "$status"
