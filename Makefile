# The thin face of the CMake build.
all:
	@cmake -S . -B build -DCMAKE_BUILD_TYPE=Release >/dev/null
	@cmake --build build -j$$(nproc) --target all
.PHONY: all
