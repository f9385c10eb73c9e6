#!/usr/bin/env bash
# Proves an edge build: one static program of at most 5 MB with the answers of this machine's own build, whose fast kernels have passed
# their checks.
#   tools/edge.sh NATIVE_PROGRAM EDGE_PROGRAM [EMULATOR and its arguments]
#   LATHE_MODEL=model.gguf tools/edge.sh ...    answers with a real model as well
set -u
native=$1 edge=$2
shift 2
max_bytes=5242880
for program in "$native" "$edge"; do
    [ -x "$program" ] || { echo "lathe: $program is not there: make builds the first, cmake --build --preset edge the other" >&2; exit 1; }
done
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
export LATHE_CACHE_DIR=$dir/cache

passed() { echo "[       OK ] $*"; }
failed() { echo "lathe: $*" >&2; exit 1; }

bytes=$(stat -c %s "$edge")
[ "$bytes" -le $max_bytes ] || failed "$edge has $bytes bytes, more than $max_bytes"
passed "$bytes bytes"

headers=$(LC_ALL=C readelf -lW "$edge") || exit 1
grep -q LOAD <<<"$headers" || failed "readelf shows no segments of $edge"
! grep -qE "INTERP|NEEDED" <<<"$headers$(LC_ALL=C readelf -dW "$edge")" || failed "$edge needs libraries"
passed "static"

same() { # what, program arguments ...
    local what=$1
    shift
    "$native" "$@" >"$dir/native" || failed "$what: this machine's build fails"
    "${run[@]}" "$edge" "$@" >"$dir/edge" || failed "$what: the edge build fails"
    if [ ! -s "$dir/native" ] || ! cmp "$dir/native" "$dir/edge"; then failed "$what: other tokens"; fi
    passed "$what"
}
run=("$@")
[ $# -gt 0 ] || run=(env)
for type in Q4_0 Q8_0; do
    python3 tests/tiny_model.py "$dir/m.gguf" $type || exit 1
    same "answers of $type" run -m "$dir/m.gguf" --raw --temp 0 --ignore-eos -n 24 -p "the in hello the quick brown fox jumps"
done
[ -z "${LATHE_MODEL-}" ] || same "answers of $LATHE_MODEL" run -m "$LATHE_MODEL" --raw --temp 0 -n 16 -p "Once upon a time"

# The budget in MiB: the weights once, KV and buffers of the profile, the program, and 128 bytes for each token of the vocabulary.
budget_of() {
    local tokens
    tokens=$("$native" info -m "$1" --json | python3 -c 'import json, sys; print(json.load(sys.stdin)["meta"]["tokenizer.ggml.tokens"][1:].split("]")[0])') || exit 1
    echo $((($(stat -c %s "$1") + 128 * tokens) / 1048576 + 32))
}
for model in "$dir/m.gguf" ${LATHE_MODEL:+"$LATHE_MODEL"}; do
    python3 tools/edge_budget.py "$edge" "$model" "$(budget_of "$model")" "$@" || failed "--profile edge does not keep its budget"
done
passed "--profile edge keeps its budget and sleeps when it waits"

"${run[@]}" "$edge" version --json >"$dir/version" || failed "lathe version fails"
grep -q '"edge": true' "$dir/version" || failed "lathe version does not say that it is the edge build"
! grep -o '"parts": {.*}' "$dir/version" | grep -q true || failed "the edge build has optional libraries: $(cat "$dir/version")"
passed "the version says what is in the build"

"${run[@]}" "$edge" kernels --json >"$dir/kernels" || failed "lathe kernels fails"
python3 - "$dir/kernels" <<'END' || failed "a type has no fast kernel that passed its check"
import json, sys
rows = json.load(open(sys.argv[1]))["kernels"]
passed = lambda op, weight: [k["isa"] for k in rows if (k["op"], k["weight"]) == (op, weight) and k["isa"] != "c" and k["verdict"] == "passed"]
missing = sorted({(k["op"], k["weight"]) for k in rows if not passed(k["op"], k["weight"])})
print(*(f"{op} {weight}: none" for op, weight in missing), sep="\n", end="" if not missing else "\n")
sys.exit(bool(missing) or not rows)
END
passed "every type and operation has a fast kernel that passed its check"

echo "port: 8080" >"$dir/lathe.yaml"
for command in "serve -m $dir/m.gguf" "key new a" "pull hf:a/b" "config check $dir/lathe.yaml"; do
    # shellcheck disable=SC2086 # words
    ! "${run[@]}" "$edge" $command >"$dir/out" 2>&1 || failed "lathe $command works without its library"
    grep -q "^lathe: this is the edge build, which .*: use the whole program" "$dir/out" || failed "lathe $command does not say what this build lacks: $(cat "$dir/out")"
done
passed "what is not in this build says so"
