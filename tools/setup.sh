#!/usr/bin/env bash
# Finds what is missing for the named purposes and installs it with apt; with --check only says what is missing and fails.
#   tools/setup.sh [--check] build|test|lint|long|arm|demo ...
set -u

# what proves that it is there : Debian package
declare -A need=(
    [build]="cmd:gcc:gcc file:/usr/include/stdio.h:libc6-dev cmd:make:make cmd:cmake:cmake cmd:pkg-config:pkg-config pc:jansson:libjansson-dev
        pc:libpcre2-8:libpcre2-dev pc:libutf8proc:libutf8proc-dev pc:libxxhash:libxxhash-dev"
    [test]="cmd:python3:python3 cmd:openssl:openssl pc:cmocka:libcmocka-dev py:pytest:python3-pytest
        py:prometheus_client:python3-prometheus-client"
    [lint]="cmd:python3:python3 cmd:git:git cmd:clang-format-14:clang-format-14 cmd:cppcheck:cppcheck cmd:shellcheck:shellcheck"
    [long]="cmd:clang:clang fuzzer:clang:libclang-rt-14-dev py:ensurepip:python3-venv"
    [arm]="cmd:aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu
        file:/usr/aarch64-linux-gnu/include/stdio.h:libc6-dev-arm64-cross cmd:qemu-aarch64:qemu-user
        arm:jansson:libjansson-dev:arm64 arm:libpcre2-8:libpcre2-dev:arm64 arm:libutf8proc:libutf8proc-dev:arm64
        arm:libxxhash:libxxhash-dev:arm64 arm:cmocka:libcmocka-dev:arm64"
    [demo]="cmd:python3:python3 pip:pip:python3-pip"
)
# wanted, but the build goes on without it
declare -A wish=([build]="pc:libmicrohttpd:libmicrohttpd-dev pc:gnutls:libgnutls28-dev pc:yaml-0.1:libyaml-dev pc:libedit:libedit-dev pc:hwloc:libhwloc-dev
    pc:libcurl:libcurl4-openssl-dev")

present() { # kind, name
    case $1 in
    cmd) command -v "$2" >/dev/null 2>&1 ;;
    pc) command -v pkg-config >/dev/null 2>&1 && pkg-config --exists "$2" ;;
    arm) PKG_CONFIG_LIBDIR=/usr/lib/aarch64-linux-gnu/pkgconfig pkg-config --exists "$2" 2>/dev/null ;;
    py) python3 -c "import $2" 2>/dev/null || /usr/bin/python3 -c "import $2" 2>/dev/null ;;
    pip) python3 -m pip --version >/dev/null 2>&1 || /usr/bin/python3 -m pip --version >/dev/null 2>&1 ;;
    file) [ -e "$2" ] ;;
    fuzzer) echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n > 9 ? 0 : 0; }' |
        "$2" -fsanitize=fuzzer,address -x c - -o /dev/null >/dev/null 2>&1 ;;
    esac
}

missing_of() { # rows
    local row kind rest name package
    for row in $1; do
        kind=${row%%:*} rest=${row#*:}
        name=${rest%%:*} package=${rest#*:}
        present "$kind" "$name" || printf '%s ' "$package"
    done
}

check=0
if [ "${1-}" = --check ]; then
    check=1
    shift
fi
packages=
for purpose in "$@"; do
    if [ -z "${need[$purpose]-}" ]; then
        echo "lathe: tools/setup.sh knows no purpose '$purpose': build, test, lint, long, arm or demo" >&2
        exit 2
    fi
    packages+=" $(missing_of "${need[$purpose]}")"
    [ $check = 1 ] || packages+=" $(missing_of "${wish[$purpose]-}")"
done
packages=$(tr -s ' \n' '\n' <<<"$packages" | sort -u | xargs)
[ -n "$packages" ] || exit 0
if [ $check = 1 ]; then
    echo "lathe: missing: $packages; \`make setup\` installs them, or: apt-get install $packages" >&2
    exit 1
fi
if ! command -v apt-get >/dev/null 2>&1; then
    echo "lathe: missing: $packages (Debian names), and there is no apt-get here: install them with this system's own tool" >&2
    exit 1
fi
as_root=
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
    command -v sudo >/dev/null 2>&1 || {
        echo "lathe: missing: $packages; not root and no sudo: as root run: apt-get install $packages" >&2
        exit 1
    }
fi
echo "lathe: installing ${as_root:+with sudo }by apt: $packages"
case $packages in *:arm64*) $as_root dpkg --add-architecture arm64 ;; esac
log=$(mktemp)
# shellcheck disable=SC2086 # packages is a list of words
if ! { $as_root apt-get update -q && $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    $packages; } >"$log" 2>&1 </dev/null; then
    tail -n 15 "$log" >&2
    echo "lathe: apt could not install: $packages (the end of its output is above, all of it in $log)" >&2
    exit 1
fi
rm -f "$log"
