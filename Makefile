# A table of commands; what is longer than two lines stands in scripts/.
.PHONY: help setup demo demo-down test test-all test-kernel lint unit lab-up lab-down clean

help:            ## list the commands
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' Makefile | expand -t 14

setup:           ## install what is missing: Debian packages, .venv, the DDNS client
	@scripts/setup

demo:            ## build the lab, run the playbooks on it, print the mesh as a matrix
	@scripts/demo

demo-down:       ## remove all that the demo made
	@lab/lab down

test:            ## the gate: what every change must pass; `make test PARTS="lint unit"` for some parts
	@scripts/test $(PARTS)

test-all:        ## the gate and the long tests, part by part, as before a release (three hours)
	@scripts/test all

test-kernel:     ## by hand: healing on a real kernel's WireGuard, in qemu (five hours); `make test-kernel RUNS=3` (two)
	@scripts/setup && scripts/kernel --runs $(or $(RUNS),20) && scripts/kernel --article --runs 3 && \
	scripts/kernel --clocks --runs $(or $(RUNS),5) one two all

lint:            ## one part of the tests
	@scripts/test lint

unit:            ## two parts of the tests: `ends` has what runs on a site, on its oldest and newest Python
	@scripts/test unit ends

lab-up:          ## the lab alone
	@scripts/setup && lab/lab up

lab-down:        ## remove the lab
	@lab/lab down

clean: lab-down  ## remove all that was made below this directory
	rm -rf .build .cache .lab .venv dist
