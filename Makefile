# The thin face of the CMake build; the presets are in CMakePresets.json.
PREFIX ?= /usr/local
JOBS ?= $(shell nproc)

all: build/Makefile
	@cmake --build build -j$(JOBS)

build/Makefile:
	@tools/setup.sh --check build
	@cmake --preset release -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null

setup:
	@tools/setup.sh build test lint long

test:
	@tools/setup.sh build test
	@python3 tools/suite.py test

test-long:
	@tools/setup.sh build test long
	@python3 tools/suite.py long

format:
	@git ls-files -z "src/*.[ch]" "tests/*.[ch]" "examples/*.c" "bench/*.c" | grep -zv "_tab\.\|^tests/data/\|^tests/fuzz/corpus/" | xargs -0 clang-format-14 -i

lint:
	@tools/setup.sh lint
	@python3 tools/lint.py

demo:
	@tools/demo.sh

install: all
	@cmake -S . -B build -DCMAKE_INSTALL_PREFIX=$(PREFIX) >/dev/null # the pkg-config file names it
	@cmake --install build --prefix $(PREFIX)

coverage:
	@cmake --preset coverage >/dev/null && cmake --build --preset coverage -j$(JOBS) >/dev/null
	@ctest --preset coverage -LE long -j$(JOBS) --output-on-failure
	@gcovr --root . --filter src/ --object-directory build-coverage --print-summary

aarch64:
	@tools/setup.sh --check arm
	@cmake --preset aarch64 >/dev/null && cmake --build --preset aarch64 -j$(JOBS)
	@ctest --preset aarch64 -LE long -j$(JOBS) --output-on-failure

clean:
	rm -rf build build-*

.PHONY: all setup format coverage aarch64 test test-long lint demo install clean
