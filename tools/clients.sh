#!/usr/bin/env bash
# Runs pytest with the real clients (tests/clients/requirements.txt) in an environment of their own, which is made on first use and kept:
#   tools/clients.sh FILE ...     --check only says by its status whether the environment is there or can be made
# Without it and without a network the test is skipped by name.
set -u
list=$(dirname "$0")/../tests/clients/requirements.txt
place=${XDG_CACHE_HOME:-$HOME/.cache}/lathe/clients-$(sha256sum <"$list" | cut -c1-16)

make_environment() {
    local python
    for python in python3 /usr/bin/python3; do
        "$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && break
    done
    rm -rf "$place.part"
    mkdir -p "$(dirname "$place")" && "$python" -m venv "$place.part" || return 1
    "$place.part/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --retries 1 --timeout 20 -r "$list" || return 1
    mv "$place.part" "$place"
}

# Parallel tests make it once. The scripts in it name the folder that it was made in: they are not used, modules are.
mkdir -p "$(dirname "$place")"
exec 9>"$place.lock"
flock 9
if [ ! -d "$place" ] && ! make_environment >"$place.log" 2>&1 </dev/null; then
    [ "${1-}" = --check ] && exit 1
    echo "lathe: the real clients cannot be installed, the end of $place.log:"
    tail -n 3 "$place.log"
    echo "[  SKIPPED ] clients"
    exit 0
fi
flock -u 9
[ "${1-}" = --check ] && exit 0
exec "$place/bin/python" -m pytest -q -rs -p no:cacheprovider "$@"
