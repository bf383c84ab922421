#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
# tests/fresh.sh TOOLCHAIN
#
# `make demo`, `make test` and an unprivileged user's `cargo test` in a new Debian 12 that holds make and a Rust
# toolchain and nothing else, with empty caches: the proof that the project installs what it needs. Needs root and
# debootstrap; the machine's own toolchain is lent to it, read-only. Takes half an hour.
set -euo pipefail

project=$(realpath "$(dirname "$0")/..")
suite=bookworm
mkdir -p "$project/target"
work=$(mktemp -d "$project/target/fresh.XXXXXX")
new=$work/root
toolchain=$1

# The machine's own archives, as apt knows them: the addresses are nobody else's business.
archive() { apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' "Label: $1" | sort -u | head -1; }
main=$(archive Debian) security=$(archive Debian-Security)
[[ $main && $security ]] || { echo "tests/fresh.sh: apt's sources name no Debian archive" >&2; exit 1; }

echo "tests/fresh.sh: a new $suite in $new"
# A minimal system plus what any Debian has that can reach its archive and a crate registry.
debootstrap --variant=minbase --include=make,ca-certificates "$suite" "$new" "$main" >"$work/debootstrap.log" ||
    { tail "$work/debootstrap.log" >&2; exit 1; }
cat >"$new/etc/apt/sources.list" <<SOURCES
deb $main $suite main
deb $main $suite-updates main
deb $security $suite-security main
SOURCES
# The way out is the machine's: its resolver, its certificates, its proxies.
cp -L /etc/resolv.conf /etc/hosts "$new/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$new/etc/ssl/certs/"
mapfile -t way_out < <(env | grep -E '^(([a-zA-Z]+_proxy|[A-Z]+_PROXY)|PIP_[A-Z_]+|SSL_CERT_FILE|CARGO_(HTTP|NET)_[A-Z_]+)=' || true)

# The tracked files as they are here, committed or not.
tree=$(cd "$project" && git stash create)
for home in root home/builder; do
    mkdir -p "$new/$home/project"
    (cd "$project" && git archive "${tree:-HEAD}") | tar -x -C "$new/$home/project"
done
mkdir "$new/toolchain"

# in_fresh USER HOME COMMAND...: a mount namespace of its own, so that nothing stays mounted however this ends.
in_fresh() {
    unshare --mount --propagation private bash -euc '
        new=$1 toolchain=$2 user=$3 home=$4
        shift 4
        # ip(8) wants / to be a mount.
        mount --bind "$new" "$new"
        mount -t proc proc "$new/proc"
        mount --rbind /sys "$new/sys"
        mount --rbind /dev "$new/dev"
        mount -t tmpfs tmpfs "$new/run"
        mount --bind -o ro "$toolchain" "$new/toolchain"
        exec chroot --userspec="$user" "$new" env -i -C "$home/project" HOME="$home" LANG=C.UTF-8 \
            PATH=/toolchain/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
    ' bash "$new" "$toolchain" "$1" "$2" "${way_out[@]}" "${@:3}"
}

began=$SECONDS
step() { printf '\ntests/fresh.sh: %s (after %d s)\n' "$1" $((SECONDS - began)); }
step 'make demo'
in_fresh root /root make demo
step 'make test'
in_fresh root /root make test
step 'cargo test as an unprivileged user without a VM'
in_fresh root /root useradd builder
mkdir -p "$new/home/builder/project/target"
cp -r "$new/root/project/target/prometheus" "$new/home/builder/project/target/" # which no package has installed
in_fresh root /root chown -R builder: /home/builder
in_fresh builder:builder /home/builder cargo test --locked
step 'all of it passed'
rm -rf "$work"
