#!/usr/bin/env python3
"""What a model of an Arm core says about the hot loops of the int8 tiles; the models stand in for the cores.

  arm_cycles.py [--build build-aarch64] [--mca llvm-mca-19] [type ...]

Takes the innermost loops with dot or matrix products out of the objects of the cross build (one iteration is a block of 32 columns)
and runs them through llvm-mca. Printed for each: registers of sums (4: one token of all 16 rows; 12 and 8: as many tokens of 4 rows), instructions,
registers that are saved or loaded again (spills), cycles, and the share of the cycles that the products alone would take.
"""
import argparse, re, subprocess, sys
from pathlib import Path

CORES = {"dotprod": ("neoverse-n1", 2), "i8mm": ("neoverse-n2", 2)}  # the core's model, its products a cycle
PRODUCT = re.compile(r"(sdot|smmla)\s")


def instructions(path):
    out = subprocess.run(["aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", path], capture_output=True, text=True, check=True).stdout
    return [(int(m[1], 16), m[2].replace("\t", " ")) for m in re.finditer(r"^\s+([0-9a-f]+):\t(.*)$", out, re.M)]


def loops(code):
    """Bodies of the innermost loops with products."""
    at = {address: i for i, (address, _) in enumerate(code)}
    found = []
    for i, (_, text) in enumerate(code):
        m = re.match(r"(?:b|b\.\w+|cbn?z \w+,|tbn?z \w+, #\d+,) ([0-9a-f]+)", text)
        if m and at.get(int(m[1], 16), i) < i:
            found.append((at[int(m[1], 16)], i))
    for a, b in sorted(found):
        body = [text for _, text in code[a:b + 1]]
        inner = any((c, d) != (a, b) and a <= c and d <= b and any(PRODUCT.match(t) for _, t in code[c:d + 1]) for c, d in found)
        if not inner and any(PRODUCT.match(text) for text in body):
            yield body


def cycles(mca, core, body):
    text = "\n".join(t for t in body if not re.match(r"(b|b\.\w+|cbn?z|tbn?z|adrp?) ", t))
    r = subprocess.run([mca, "-mtriple=aarch64", f"-mcpu={core}", "-mattr=+i8mm,+dotprod", "-iterations=200", "-"], input=re.sub(r" +//.*| <.*>", "", text),
                       capture_output=True, text=True)
    if r.returncode:
        sys.exit(r.stderr)
    return int(re.search(r"Total Cycles:\s+(\d+)", r.stdout)[1]) / 200


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--build", default="build-aarch64")
    p.add_argument("--mca", default="llvm-mca-19")
    p.add_argument("types", nargs="*", default=["q4_0", "q8_0", "q4_k", "q6_k"])
    o = p.parse_args()
    print("kernel                  core          sums  instr. spills cycles  products' share")
    for name in o.types:
        for isa, (core, rate) in CORES.items():
            path = Path(o.build) / f"CMakeFiles/lathe_objects.dir/src/kern/arm/tile_dot_{name}_{isa}.c.o"
            best = {}
            for body in loops(instructions(path)):
                n = sum(bool(PRODUCT.match(t)) for t in body)
                sums = n // (8 if isa == "dotprod" else 4)  # one instruction for each 4 or 8 of the 32 columns
                spills = sum(bool(re.match(r"(st|ld)[rp] q\d.*\[sp", t)) for t in body)
                best[sums] = min(best.get(sums, (1e9,)), (cycles(o.mca, core, body), n, len(body), spills))
            for sums, (c, n, n_body, spills) in sorted(best.items()):
                if sums in (4, max(best)):
                    print(f"{'tile_dot_' + name + '_' + isa:<23} {core:<13} {sums:4} {n_body:7} {spills:6} {c:6.0f} {n / rate / c:10.0%}")


if __name__ == "__main__":
    main()
