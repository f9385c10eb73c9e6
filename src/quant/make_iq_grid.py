#!/usr/bin/env python3
"""Writes iq_grid_tab.c: the grids of the IQ formats as the gguf package (PyPI) has them, a row as a number with the first column lowest."""
from pathlib import Path

import numpy as np
from gguf import quants

GRIDS = [("iq2_xxs", quants.IQ2_XXS), ("iq2_xs", quants.IQ2_XS), ("iq2_s", quants.IQ2_S), ("iq3_xxs", quants.IQ3_XXS), ("iq3_s", quants.IQ3_S),
         ("iq1", quants.IQ1_S)]


def table(name, cls):
    cls.init_grid()
    grid = cls.grid.reshape(cls.grid_shape).astype(np.int8)
    if name == "iq1":
        grid = grid + 1  # 0, 1, 2 for -1, 0, 1
    bits = 8 * grid.shape[1]
    rows = grid.astype(np.uint8).view(f"<u{grid.shape[1]}").ravel()
    per_line = 5 if bits == 64 else 10
    out = f"const uint{bits}_t {name}_grid[{len(rows)}] = {{\n"
    for i in range(0, len(rows), per_line):
        out += "    " + ", ".join(f"0x{x:0{bits // 4}x}" for x in rows[i:i + per_line]) + ",\n"
    return out + "};\n"


def main():
    text = "/* The grids of the IQ formats, written by make_iq_grid.py: data of the published format. */\n#include \"quant/iq_grid.h\"\n"
    for name, cls in GRIDS:
        text += "\n" + table(name, cls)
    (Path(__file__).resolve().parent / "iq_grid_tab.c").write_text(text)


if __name__ == "__main__":
    main()
