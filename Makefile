# turtle-buffers: what a newcomer types. The work is done in scripts/; each target installs what it lacks.

SHELL := bash
.DEFAULT_GOAL := help
.NOTPARALLEL:
MAKEFLAGS += --no-print-directory

PREFIX ?= /usr/local
LIBDIR ?= lib
DESTDIR ?=
ARGS ?=
SUITES ?=
export PREFIX LIBDIR DESTDIR

.PHONY: help demo test bench certify build install uninstall wheel header abi deps fmt lint clean

help:
	@printf '%s\n' \
	  'turtle-buffers: one bounded FIFO, many engines, every language' \
	  '' \
	  '  make demo                    the main job on real input: C++ and Rust push, Python pops' \
	  '  make test                    every test in every language   (SUITES="rust c" picks some, SUITES=--list shows them)' \
	  '  make bench                   side by side with rivals: target/bench/report.html, report.json' \
	  '  make install PREFIX=DIR      library, headers, turtle.pc, CMake config, command line   (DESTDIR=, LIBDIR=lib)' \
	  '  make uninstall PREFIX=DIR    takes the same files away' \
	  '  make wheel                   Python wheel and source archive in target/wheels' \
	  '' \
	  '  make build                   library and command line in target/release, nothing installed' \
	  '  make header                  writes include/turtle.h anew from bindings/c' \
	  '  make abi                     compares the C interface with its baseline' \
	  '  make fmt | lint              formats | checks formatting, lints and scripts' \
	  '  make deps                    lists and installs what demo, test, bench and wheel need' \
	  '  make clean                   removes everything that was built' \
	  '  make certify                 not there yet: comes with the verification work' \
	  '' \
	  'demo and bench pass ARGS="…" on, bench to benches/rivals; ARGS=--help shows what they take.'

demo:
	@scripts/demo.sh $(ARGS)

test:
	@scripts/test.sh $(SUITES)

bench:
	@scripts/bench.sh $(ARGS)

certify:
	@echo 'make certify: there is no certificate yet. It comes with the verification work (proofs/README.md)' >&2
	@echo 'certify: nothing was checked'
	@exit 2

build:
	@scripts/install.sh build

install:
	@scripts/install.sh install

uninstall:
	@scripts/install.sh uninstall

wheel:
	@scripts/wheel.sh

header:
	@scripts/deps.sh rust
	TURTLE_BLESS=1 cargo test -p turtle-c --test header
	@echo 'header: include/turtle.h is up to date'

abi:
	@scripts/deps.sh rust test
	bindings/c/abi/check.sh
	@echo 'abi: the C interface keeps its baseline'

deps:
	@scripts/deps.sh all

fmt:
	@scripts/deps.sh rust lint
	cargo fmt --all
	@echo 'fmt: done'

lint:
	@scripts/deps.sh rust lint
	@scripts/lint.sh
	@echo 'lint: clean'

clean:
	@scripts/clean.sh
