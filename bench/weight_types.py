#!/usr/bin/env python3
"""Speed of each weight type on the 1B class: weight_types.py [--json] [--layers N] [TYPE ...]

Writes a llama of 1.07 G random weights in each type to a temporary folder (deleted at once; up to 2.2 GB), measures prefill and decode of it
beside the machine's limits, and prints a row for each: tokens/s, share of the int8 rate, share of the read bandwidth, and all samples as JSON
with --json. --layers N makes a smaller one.
"""
import argparse, json, os, subprocess, sys, tempfile
from pathlib import Path

from random_model import TYPES, write

ROOT = Path(__file__).resolve().parent.parent


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("types", nargs="*", metavar="TYPE", help=", ".join(TYPES))
    a.add_argument("--layers", type=int, default=0)
    a.add_argument("--json", action="store_true")
    a.add_argument("--program", default=str(ROOT / "build/lathe"))
    a.add_argument("bench", nargs=argparse.REMAINDER, help="after --: further options of lathe bench")
    o = a.parse_args()
    wrong = [t for t in o.types if t not in TYPES]
    if wrong:
        a.error(f"no type {wrong[0]}; there are {', '.join(TYPES)}")
    print(f"{'type':8} {'prefill tok/s':>14} {'of int8':>8} {'decode tok/s':>13} {'of read':>8} {'read GB/s':>10}", file=sys.stderr)
    for name in o.types or TYPES:
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, f"{name}.gguf")
            write(path, name, o.layers)
            run = subprocess.run([o.program, "bench", "-m", path, "-p", "512", "-n", "64", "-r", "5", "--cache-dir", folder, "--json",
                                  *[x for x in o.bench if x != "--"]], stdout=subprocess.PIPE, check=True)
        r = json.loads(run.stdout)
        print(f"{name:8} {r['prefill_tok_s']:14.0f} {100 * r['prefill_share']:7.0f}% {r['decode_tok_s']:13.1f} {100 * r['decode_share']:7.0f}%"
              f" {r['read_gb_s']:10.0f}", file=sys.stderr, flush=True)
        if o.json:
            print(json.dumps({"type": name, **r}), flush=True)


if __name__ == "__main__":
    main()
