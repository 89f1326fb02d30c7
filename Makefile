# The two commands of the README, and what developers use every day. Each does its own set-up.
#
#   make run     build, and show what idle connections cost on each kernel interface (hark idle)
#   make test    build, and run every test
#   make install PREFIX=/usr/local
#   make bench   build the benchmarks into build/release/bench (see bench/README.md)
#   make mutate  seed faults into the library and see that the tests notice each (3 minutes)
#   make tidy    check the rules that a script can check
#   make clean

PREFIX ?= /usr/local
JOBS := $(shell nproc 2>/dev/null || echo 2)
BUILD := build/release
# The suites wait for most of the time: three of them keep a processor busy. Tests that watch how
# long something holds a processor take three slots each.
TEST_SLOTS := $(shell expr $(JOBS) '*' 3)
export CTEST_OUTPUT_ON_FAILURE := 1

.PHONY: run test mutate build build-tests install bench tidy clean

run: build
	$(BUILD)/src/cli/hark idle

build:
	scripts/setup build
	cmake --preset release --log-level=WARNING -DHARK_BUILD_TESTS=OFF -DHARK_BUILD_EXAMPLES=OFF
	cmake --build $(BUILD) -j $(JOBS)

build-tests:
	scripts/setup build test
	cmake --preset release --log-level=WARNING -DHARK_BUILD_TESTS=ON -DHARK_BUILD_EXAMPLES=ON
	cmake --build $(BUILD) -j $(JOBS)

test: build-tests
	ctest --preset release -j $(TEST_SLOTS)

install: build
	cmake --install $(BUILD) --prefix $(PREFIX)

bench: build-tests
	scripts/setup build bench
	cmake --preset release --log-level=WARNING
	cmake --build $(BUILD) -j $(JOBS) --target bench

mutate:
	scripts/setup build test
	scripts/mutate
	scripts/mutate-stalls

tidy:
	scripts/tidy

clean:
	rm -rf build
