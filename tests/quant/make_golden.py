#!/usr/bin/env python3
"""Writes golden.bin: random blocks of every quantized type with the weights that the gguf package (PyPI) reads from them.

Little-endian, for each type: u32 type, u32 n_block, the blocks, f32 weights[n_block * weights per block]. Blocks are random bytes, so that every
code and every integer scale occurs; the f16 numbers are finite, of all magnitudes, subnormal ones and zero among them. E8M0 is not 255, which the
package reads as 2^127 and the specification of the microscaling formats as NaN.
"""
import struct
from pathlib import Path

import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType as Type, quants

HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2],
          "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [], "IQ2_XXS": [0], "IQ2_XS": [0], "IQ2_S": [0], "IQ3_XXS": [0], "IQ3_S": [0], "IQ1_S": [0],
          "IQ1_M": [], "TQ1_0": [52], "TQ2_0": [64]}
SPECIAL = [0x0000, 0x8000, 0x0001, 0x83ff, 0x7bff, 0xfbff, 0x3c00]


def blocks(name, n, rng):
    size = GGML_QUANT_SIZES[Type[name]][1]
    out = rng.integers(0, 256, (n, size), dtype=np.uint8)
    for at in HALVES[name]:
        h = rng.integers(0, 0x7c00, n) | rng.integers(0, 2, n) << 15
        special = rng.choice(SPECIAL, n)
        h = np.where(rng.integers(0, 4, n) == 0, special, h).astype("<u2")
        out[:, at:at + 2] = h.view(np.uint8).reshape(n, 2)
    if name == "IQ1_M":  # the f16 number is in the upper nibbles of four words
        out[:, 55] &= 0xbf
    if name == "MXFP4":
        out[:, 0] = np.where(out[:, 0] == 255, 0, out[:, 0])
        out[:4, 0] = [0, 1, 2, 254]
    return out


def main():
    rng = np.random.default_rng(5)
    data = b""
    for name in HALVES:
        per_block = GGML_QUANT_SIZES[Type[name]][0]
        b = blocks(name, 24 if name.startswith("IQ1") else 8 if per_block == 256 else 24, rng)
        with np.errstate(all="ignore"):
            w = quants.dequantize(b, Type[name]).astype("<f4")
        assert not np.isnan(w).any() and w.size == len(b) * per_block
        data += struct.pack("<II", Type[name].value, len(b)) + b.tobytes() + w.tobytes()
    (Path(__file__).resolve().parent / "golden.bin").write_bytes(data)
    print(len(data), "bytes")


if __name__ == "__main__":
    main()
