# The face of the project; CMakePresets.json and scripts/ do the work.
PREFIX = /usr/local
# Options of bench/run, such as --quick.
BENCH =

.PHONY: help run check lint bench fuzz sim mutants soak install check-install check-foreign clean

help:
	@echo 'make run            build it, start both ends of a tunnel on 127.0.0.1, fetch a page through them'
	@echo 'make check          every test; ends with "N passed, N failed"'
	@echo 'make lint           include table, format, static analysis'
	@echo 'make bench          speed and memory beside a bare relay and other proxies'
	@echo '                    (BENCH=--pair: of a tunnel, both ends together)'
	@echo 'make fuzz           every fuzzer for FUZZ_SECONDS=30'
	@echo 'make sim            the simulator of tunnels over SEEDS=1-100000; runs add up'
	@echo 'make mutants        breaks link, session and peer in small ways: is each noticed? Goes on where it was stopped'
	@echo 'make soak           busy with everything for SOAK_MINUTES=60; runs add up'
	@echo 'make install        to $$(DESTDIR)$$(PREFIX), by default $(PREFIX)'
	@echo 'make check-install  the above in a fresh Debian 12, as root'
	@echo 'make check-foreign  unit tests on emulated machines of 32 bits and of the other byte order'
	@echo 'make clean          remove build/'

run:
	@scripts/run

check:
	@scripts/check

lint:
	@scripts/lint

bench:
	@scripts/bench $(BENCH)

fuzz:
	@scripts/fuzz

sim:
	@scripts/sim

mutants:
	@tests/mutants/run

soak:
	@scripts/soak

install:
	@scripts/setup build
	cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX)
	cmake --build --preset release --parallel
	cmake --install build/release --strip

check-install:
	@scripts/check-install

check-foreign:
	@scripts/check-foreign

clean:
	rm -rf build
