# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#
#   make demo    install what is missing, build, and show the article's demo: live on this kernel, else in a VM
#   make test    formatting, lints, unit tests, and the live tests on four kernel lines
#                ARCH=arm64: the live tests alone, cross-built, on Debian's emulated arm64 kernel; needs root
#   make bench   how fast records are read, and files of packets; what a packet costs, what is kept of a flood, what is
#                left of the traced program's speed, beside xdpdump and the article's demo; the tracer's memory; fails
#                where a bar is missed.
#                LINE=7: what a packet costs on that kernel line
#   make soak    faults again and again on four kernel lines (a tracer killed, devices deleted, CPUs offline, …), and ten million
#                packets traced: half a day. XDPTRACE_KILLS, XDPTRACE_ROUNDS, XDPTRACE_LOAD: for less
#   make fresh   both of the above in a new Debian root with empty caches
#   make verifier  what the verifier looks at of each BPF program on four kernel lines, by the clangs that it is compiled with
#   make fuzz    each target in fuzz/ on bytes of any kind, from the inputs kept there; TIME=600: for so many seconds
#   make picture the README's pictures of a terminal, from real runs in a VM
#   make build   the release binary, target/release/xdptrace, and beside it in share its man pages and completions
#   make install, make uninstall  what was built, builds nothing: PREFIX=/usr/local, DESTDIR=
#   make deb     target/deb/xdptrace_VERSION_ARCH.deb, as Debian's own tools build and judge it
#   make rpm     target/rpm/RPMS/ARCH/xdptrace-VERSION-1.ARCH.rpm, likewise by rpm's own
#   make dist    target/dist/xdptrace-VERSION-ARCH.tar.gz: for any distribution with glibc 2.31 or newer, built in Debian 11
#   make tarball target/xdptrace-VERSION.tar.gz: the sources; make vendor: target/xdptrace-VERSION-vendor.tar.gz, the crates
#                that they are built with, where there is no network
#   make roots   the four of them in new Debians: sources built offline by Debian 13's own packages, the .deb's whole life in 12 and
#                13, booted with their systemd, and make dist's binary in 11: an hour
#   make clean

SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: build install uninstall tarball vendor deb rpm dist roots demo test live arm64 soak bench check verifier fuzz fresh picture clean deps demo-deps vm-deps check-deps test-deps bench-deps cargo

# What `make dist` packed has it here.
BINARY := $(firstword $(wildcard xdptrace) target/release/xdptrace)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

# Debian's packages, by what needs them.
BUILD_PACKAGES := clang gcc libc6-dev libelf-dev libpcap-dev zlib1g-dev pkg-config make
DEMO_PACKAGES := iproute2 iputils-ping util-linux
VM_PACKAGES := qemu-system-x86 busybox-static python3-venv file kmod xz-utils zstd
CHECK_PACKAGES := fish jq man-db systemd tcpdump zsh
TEST_PACKAGES := bpftool ethtool libcap2-bin procps tcpdump tmux tshark xdp-tools
BENCH_PACKAGES := tcpdump tshark util-linux xdp-tools

build: deps
	cargo build --release --locked

PREFIX ?= /usr/local
# A system's own packages have PREFIX=/usr, and zsh looks for completions elsewhere than in PREFIX on some: Debian has ZSHDIR
# $(PREFIX)/share/zsh/vendor-completions.
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
SHARE = $(dir $(BINARY))share
UNIT := xdptrace-exporter.service
PAGES = $(notdir $(wildcard $(SHARE)/man/*.8))

install:
	@[ -x $(BINARY) ] && [ -n "$(PAGES)" ] || { echo "make: nothing built to install: make build" >&2; exit 1; }
	install -D -m 755 $(BINARY) $(DESTDIR)$(SBINDIR)/xdptrace
	install -d $(DESTDIR)$(MANDIR)/man8 && install -m 644 $(SHARE)/man/*.8 $(DESTDIR)$(MANDIR)/man8
	install -D -m 644 $(SHARE)/completions/xdptrace $(DESTDIR)$(BASHDIR)/xdptrace
	install -D -m 644 $(SHARE)/completions/_xdptrace $(DESTDIR)$(ZSHDIR)/_xdptrace
	install -D -m 644 $(SHARE)/completions/xdptrace.fish $(DESTDIR)$(FISHDIR)/xdptrace.fish
	install -d $(DESTDIR)$(UNITDIR)
	sed 's|/usr/sbin/|$(SBINDIR)/|' packaging/systemd/$(UNIT) >$(DESTDIR)$(UNITDIR)/$(UNIT)
	chmod 644 $(DESTDIR)$(UNITDIR)/$(UNIT)
	install -D -m 644 packaging/systemd/xdptrace.conf $(DESTDIR)$(SYSUSERSDIR)/xdptrace.conf

uninstall:
	rm -f $(addprefix $(DESTDIR),$(SBINDIR)/xdptrace $(MANDIR)/man8/xdptrace.8 $(MANDIR)/man8/xdptrace-*.8 $(BASHDIR)/xdptrace \
	    $(ZSHDIR)/_xdptrace $(FISHDIR)/xdptrace.fish $(UNITDIR)/$(UNIT) $(SYSUSERSDIR)/xdptrace.conf)

VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml)
TARBALL = target/xdptrace-$(VERSION).tar.gz
VENDOR = target/xdptrace-$(VERSION)-vendor.tar.gz
# The same bytes on each machine, of the time of the last commit; where there is no git, of all that is here, and of now.
SOURCES = git ls-files --cached --others --exclude-standard -- ':!.*' 2>/dev/null || ls -d $(filter-out target,$(wildcard *))
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date +%s)
PACK = tar -cz --owner=root:0 --group=root:0 --sort=name --mode=go=rX,u+rw --mtime=@$(SOURCE_DATE_EPOCH)

tarball:
	mkdir -p target
	{ $(SOURCES); } | $(PACK) -f $(TARBALL) --transform='s|^|xdptrace-$(VERSION)/|' --files-from=-

# Unpacked beside the sources, and built with: cargo build --offline --config packaging/vendored.toml
vendor: cargo
	rm -rf target/vendor && mkdir -p target/vendor
	cargo vendor --locked --quiet target/vendor/vendor >/dev/null
	$(PACK) -f $(VENDOR) -C target/vendor vendor
	rm -r target/vendor

DEB_PACKAGES := debhelper dpkg-dev lintian tcpdump
# A toolchain that isn't a package is none to debian/control: with one, that is what is built with.
TOOLCHAIN = $(shell dpkg-query -W cargo >/dev/null 2>&1 || echo --build-profiles=pkg.xdptrace.toolchain)

# Of a copy of the sources, because Debian wants its part in the folder debian. Built in a folder of its own, for it
# isn't stripped before its debugging symbols are split off.
deb: deps tarball
	@$(MAKE) --no-print-directory packages WANTED="$(DEB_PACKAGES)"
	rm -rf target/deb && mkdir -p target/deb && tar -C target/deb -xzf $(TARBALL)
	cp -a packaging/debian target/deb/xdptrace-$(VERSION)/debian
	cd target/deb/xdptrace-$(VERSION) && \
	    CARGO_TARGET_DIR=$(CURDIR)/target/unstripped dpkg-buildpackage --build=binary --no-sign $(TOOLCHAIN)
	rm -r target/deb/xdptrace-$(VERSION)
	lintian --fail-on error,warning --info target/deb/*.deb

# What is built already isn't built once more. --nodeps: what rpm knows of is another distribution's where it is built on
# Debian. rpmlint says more about Debian's rpm there than about the package: what is no more than that is listed, with the
# reason, in packaging/rpm/rpmlint.toml.
rpm: deps tarball
	@$(MAKE) --no-print-directory packages WANTED="rpm rpmlint tcpdump"
	rm -rf target/rpm && mkdir -p target/rpm/SOURCES && cp $(TARBALL) target/rpm/SOURCES
	CARGO_TARGET_DIR=$(CURDIR)/target rpmbuild --define "_topdir $(CURDIR)/target/rpm" --nodeps -ba packaging/rpm/xdptrace.spec
	rpm -qpl target/rpm/RPMS/*/*.rpm
	rpmlint --config packaging/rpm/rpmlint.toml packaging/rpm/xdptrace.spec target/rpm/RPMS/*/*.rpm

# clang, gcc and the libraries are Debian 11's; Rust is the one that is here.
dist: cargo
	@$(MAKE) --no-print-directory packages WANTED="debootstrap binutils"
	$(SUDO) packaging/dist/build "$(VERSION)" "$$(rustc --print sysroot)"

roots: deb rpm dist demo-deps vm-deps
	@$(MAKE) --no-print-directory packages WANTED="debootstrap"
	$(SUDO) tests/roots/install target/deb/xdptrace_*.deb
	$(SUDO) tests/roots/unpack target/dist/*.tar.gz
	$(SUDO) tests/roots/sources $(TARBALL)

# Where the kernel refuses fentry (exit status 3), the very same script runs in a VM.
demo: build demo-deps
	@status=0; $(SUDO) tests/demo.sh $(BINARY) || status=$$?; \
	if [ $$status = 3 ]; then \
	    echo "make: this kernel cannot trace; the same demo in a VM:"; \
	    $(MAKE) --no-print-directory vm-deps && tests/vm/run -- tests/demo.sh $(BINARY); \
	else exit $$status; fi

ARCH ?=
test: $(if $(filter arm64,$(ARCH)),arm64,check live)

# What a distribution's build runs is the plain `cargo test` in here: no privilege, no VM.
check: deps check-deps
	cargo fmt --check
	cargo clippy --locked --all-targets --features live -- --deny warnings
	cargo test --locked

live: deps demo-deps test-deps vm-deps
	tests/live.sh

# The guest's packages are those that the tests take here.
ARM64_PACKAGES := qemu-system-arm debootstrap busybox-static file kmod xz-utils zstd
arm64: demo-deps
	@$(MAKE) --no-print-directory packages WANTED="$(ARM64_PACKAGES)"
	$(SUDO) tests/arm64.sh $(DEMO_PACKAGES) $(TEST_PACKAGES)

soak: deps demo-deps test-deps vm-deps
	tests/soak.sh

bench: deps demo-deps bench-deps vm-deps
	tests/bench/run $(LINE)

# Debian 12's default clang, whose figures are kept, and newer ones.
verifier: deps demo-deps test-deps vm-deps clangs
	tests/verifier.sh $(CLANGS:%=target/clang/%/clang)

# What is found on the way stays in target/fuzz; an input that fails is left in fuzz/artifacts, and named. The sanitizer
# is a feature of Rust's nightly compiler, which the stable one has, too, for those who ask for it like this.
TIME ?= 600
fuzz: export RUSTC_BOOTSTRAP = 1
fuzz: deps
	@cargo fuzz --version >/dev/null 2>&1 || { \
	    echo "make: installing cargo-fuzz: cargo install --locked cargo-fuzz"; cargo install --locked cargo-fuzz; }
	for fuzzed in $$(cargo fuzz list); do \
	    mkdir -p target/fuzz/$$fuzzed && \
	    cargo fuzz run $$fuzzed target/fuzz/$$fuzzed fuzz/corpus/$$fuzzed -- \
	        -max_total_time=$(TIME) -print_final_stats=1 || exit 1; \
	done

# The README's pictures, made anew by real runs.
picture: build vm-deps test-deps
	cargo build --release --locked --features live
	programs=$$(dirname "$$(ls -t target/release/build/*/out/balancer.bpf.o | head -1)") && \
	tests/vm/run -- tests/picture/run $(BINARY) $$programs/balancer.bpf.o | tests/picture/svg >tests/picture/text.svg.new && \
	tests/vm/run -- tests/picture/top $(BINARY) $$programs/balancer.bpf.o $$programs/components.bpf.o | \
	    tests/picture/svg 110 >tests/picture/top.svg.new
	mv tests/picture/text.svg.new tests/picture/text.svg
	mv tests/picture/top.svg.new tests/picture/top.svg

fresh: cargo
	@$(MAKE) --no-print-directory packages WANTED="debootstrap"
	$(SUDO) tests/fresh.sh "$$(rustc --print sysroot)"

clean:
	cargo clean

deps: cargo
	@$(MAKE) --no-print-directory packages WANTED="$(BUILD_PACKAGES)"
demo-deps:
	@$(MAKE) --no-print-directory packages WANTED="$(DEMO_PACKAGES)"
vm-deps:
	@$(MAKE) --no-print-directory packages WANTED="$(VM_PACKAGES)"
check-deps: prometheus
	@$(MAKE) --no-print-directory packages WANTED="$(CHECK_PACKAGES)"
test-deps: prometheus
	@$(MAKE) --no-print-directory packages WANTED="$(TEST_PACKAGES)"
bench-deps:
	@$(MAKE) --no-print-directory packages WANTED="$(BENCH_PACKAGES)"

# Prometheus and its promtool, by which what is for them is checked: the package is unpacked rather than installed, for
# that would start a server.
.PHONY: prometheus
prometheus:
	@if [ -e target/prometheus/usr/bin/promtool ] || { command -v promtool && command -v prometheus; } >/dev/null; then \
	    exit 0; fi; \
	command -v apt-get >/dev/null || { echo "make: missing, by its Debian name: prometheus" >&2; exit 1; }; \
	echo "make: unpacking prometheus into target"; \
	mkdir -p target/prometheus && cd target/prometheus && $(SUDO) apt-get update -qq && \
	apt-get -o APT::Sandbox::User=root download -qq prometheus && dpkg-deb -x prometheus_*.deb . && rm prometheus_*.deb

# Unpacked rather than installed, for what is built otherwise is built by the newest clang that is installed. Their
# libraries' own dependencies are those of the clang that is.
CLANGS := 14 16 19
.PHONY: clangs
clangs:
	@for version in $(CLANGS); do \
	    folder=$$PWD/target/clang/$$version; \
	    if [ -x $$folder/clang ]; then continue; fi; \
	    command -v apt-get >/dev/null || { echo "make: missing, by its Debian name: clang-$$version" >&2; exit 1; }; \
	    echo "make: unpacking clang-$$version into target"; \
	    mkdir -p $$folder && cd $$folder && $(SUDO) apt-get update -qq && \
	    apt-get -o APT::Sandbox::User=root download -qq clang-$$version libclang-cpp$$version libllvm$$version && \
	    for package in *.deb; do dpkg-deb -x $$package . && rm $$package || exit 1; done && \
	    libraries=$$(echo $$folder/usr/lib/*-linux-gnu) && \
	    printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$$@"\n' $$libraries $$folder/usr/lib/llvm-$$version/bin/clang >clang && \
	    chmod +x clang && ./clang --version | head -1 && cd - >/dev/null || exit 1; \
	done

cargo:
	@command -v cargo >/dev/null || { echo "make: no cargo on the PATH: install a Rust toolchain, 1.85 or newer" >&2; exit 1; }

# Installs those of WANTED that are missing, and says which. A clang that is not Debian's serves as well.
.PHONY: packages
packages:
	@missing=''; \
	for package in $(WANTED); do \
	    if [ $$package = clang ] && { [ -n "$$CLANG" ] || compgen -c clang | grep -qxE 'clang(-[0-9]+)?'; }; then continue; fi; \
	    dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	command -v apt-get >/dev/null || { echo "make: missing, by their Debian names:$$missing" >&2; exit 1; }; \
	echo "make: installing$$missing"; \
	$(SUDO) apt-get update -qq && \
	$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends $$missing >/dev/null
