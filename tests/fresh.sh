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
cd "$project"
toolchain=$1

echo "tests/fresh.sh: a new $suite in $new"
tests/roots/new "$suite" "$new" make

# The tracked files as they are here, committed or not.
tree=$(git stash create)
for home in root home/builder; do
    mkdir -p "$new/$home/project"
    git archive "${tree:-HEAD}" | tar -x -C "$new/$home/project"
done

in_fresh() { tests/roots/in --lend "$toolchain:/toolchain" --user "$1" --home "$2" "$new" "${@:3}"; }

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
