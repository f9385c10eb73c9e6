#!/usr/bin/env bash
# Runs a tiny model with this machine's program and with a cross-built one under its emulator, on each of its instruction sets; every
# logit must have the same bits.
#   tools/same_bits.sh NATIVE_PROGRAM CROSS_PROGRAM EMULATOR [its arguments]
set -u
native=$1 cross=$2
shift 2
[ -x "$native" ] || { echo "lathe: $native is not there: make builds it" >&2; exit 1; }
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
for type in F32 Q8_0 Q4_0; do
    python3 tests/tiny_model.py "$dir/m.gguf" $type || exit 1
    args=(run -m "$dir/m.gguf" --no-cache --raw --temp 0 --ignore-eos -n 12 -p "the in hello the quick brown fox jumps" --dump-logits)
    "$native" "${args[@]}" "$dir/native" >"$dir/native.text" || exit 1
    for level in "" c neon dotprod; do
        LATHE_CPU=$level "$@" "$cross" "${args[@]}" "$dir/cross" >"$dir/cross.text" || exit 1
        cmp "$dir/native" "$dir/cross" && cmp "$dir/native.text" "$dir/cross.text" || exit 1
        echo "[       OK ] $type ${level:-widest}: $(wc -l <"$dir/cross") positions"
    done
done
