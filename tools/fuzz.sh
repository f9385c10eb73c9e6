#!/usr/bin/env bash
# Runs one fuzzer for LATHE_FUZZ_SECONDS (60) from its seed corpus: tools/fuzz.sh PROGRAM NAME
set -u
program=$1 name=$2
work=$(dirname "$program")/corpus/$name
mkdir -p "$work"
seeds=tests/fuzz/corpus/$name
[ -d "$seeds" ] || { echo "lathe: fuzzer $name has no seed corpus $seeds" >&2; exit 1; }
dict=()
[ -f "tests/fuzz/$name.dict" ] && dict=("-dict=tests/fuzz/$name.dict")
exec "$program" -max_total_time="${LATHE_FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
    -artifact_prefix="$(dirname "$program")/$name-" "${dict[@]}" "$work" "$seeds"
