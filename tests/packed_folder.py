"""Writes the tiny model of tiny_model.py with its matrices quantized, in the layouts of GPTQ, AWQ, compressed-tensors and bitsandbytes.

Independent of the program: layouts are written as the formats' own packages have them, and weights() says what they mean.
"""
import json, random, struct

import hf_folder

NF4 = [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0,
       0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023,
       1.0]
AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7]


def f32(x):
    return struct.unpack("<f", struct.pack("<f", x))[0]


def f16(x):
    return struct.unpack("<e", struct.pack("<e", x))[0]


def bf16(x):
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return struct.unpack("<f", struct.pack("<I", (bits + 0x7fff + (bits >> 16 & 1)) >> 16 << 16))[0]


def raw16(values, dtype):
    if dtype == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    return b"".join(struct.pack("<f", v)[2:] for v in values)


def words(codes, bits=4):
    """Eight codes of 4 bits a word, or four of 8, the first in the lowest bits."""
    n = 32 // bits
    return b"".join(struct.pack("<I", sum(q << bits * i for i, q in enumerate(codes[at:at + n]))) for at in range(0, len(codes), n))


class Matrix:
    """Integers q[row][column], zero points z and scales s [row][group], group of each column: w = s (q - z)."""

    def __init__(self, rows, columns, values, group, sym, act_order, seed, scale=f16, bits=4):
        rnd = random.Random(seed)
        self.rows, self.columns, self.group, self.bits = rows, columns, group if group > 0 else columns, bits
        most, half = 2**bits - 1, 2**(bits - 1)
        n = -(-columns // self.group)
        order = list(range(columns))
        if act_order:
            rnd.shuffle(order)
        self.g_idx = [0] * columns
        for place, column in enumerate(order):
            self.g_idx[column] = place // self.group
        self.q, self.z, self.s = [], [], []
        for r in range(rows):
            row = values[r * columns:(r + 1) * columns]
            lows, highs = [0.0] * n, [0.0] * n
            for x, g in zip(row, self.g_idx):
                lows[g], highs[g] = min(lows[g], x), max(highs[g], x)
            if sym:
                s = [scale(max(-lo / half, hi / (half - 1)) or 1.0) for lo, hi in zip(lows, highs)]
                z = [half] * n
            else:
                s = [scale((hi - lo) / most or 1.0) for lo, hi in zip(lows, highs)]
                z = [max(1, min(most, round(-lo / d))) for lo, d in zip(lows, s)]
            self.q.append([max(0, min(most, round(x / s[g]) + z[g])) for x, g in zip(row, self.g_idx)])
            self.s.append(s)
            self.z.append(z)

    def weights(self):
        return [s[g] * (q - z[g]) for row, s, z in zip(self.q, self.s, self.z) for q, g in zip(row, self.g_idx)]


def gptq(name, m, v2=False):
    columns = [[m.q[r][k] for r in range(m.rows)] for k in range(m.columns)]
    n, in_word = len(m.s[0]), 32 // m.bits
    packed = b"".join(words([columns[k + i][r] for r in range(m.rows) for i in range(in_word)], m.bits) for k in range(0, m.columns, in_word))
    zeros = b"".join(words([m.z[r][g] - (0 if v2 else 1) for r in range(m.rows)], m.bits) for g in range(n))
    scales = raw16([m.s[r][g] for g in range(n) for r in range(m.rows)], "F16")
    return {f"{name}.qweight": ("I32", [m.columns // in_word, m.rows], packed), f"{name}.qzeros": ("I32", [n, m.rows // in_word], zeros),
            f"{name}.scales": ("F16", [n, m.rows], scales), f"{name}.g_idx": ("I32", [m.columns], struct.pack(f"<{m.columns}i", *m.g_idx))}


def awq(name, m):
    def in_order(row):
        return words([row[at + i] for at in range(0, len(row), 8) for i in AWQ_ORDER])
    n = len(m.s[0])
    packed = b"".join(in_order([m.q[r][k] for r in range(m.rows)]) for k in range(m.columns))
    zeros = b"".join(in_order([m.z[r][g] for r in range(m.rows)]) for g in range(n))
    scales = raw16([m.s[r][g] for g in range(n) for r in range(m.rows)], "F16")
    return {f"{name}.qweight": ("I32", [m.columns, m.rows // 8], packed), f"{name}.qzeros": ("I32", [n, m.rows // 8], zeros),
            f"{name}.scales": ("F16", [n, m.rows], scales)}


def compressed(name, m, sym, act_order, dtype="BF16"):
    n = len(m.s[0])
    out = {f"{name}.weight_packed": ("I32", [m.rows, m.columns * m.bits // 32], b"".join(words(row, m.bits) for row in m.q)),
           f"{name}.weight_scale": (dtype, [m.rows, n], raw16([s for row in m.s for s in row], dtype)),
           f"{name}.weight_shape": ("I64", [2], struct.pack("<2q", m.rows, m.columns))}
    if not sym:
        padded = m.z + [[0] * n] * (-m.rows % 8)
        zeros = b"".join(words([padded[at + i][g] for g in range(n) for i in range(8)]) for at in range(0, len(padded), 8))
        out[f"{name}.weight_zero_point"] = ("I32", [len(padded) // 8, n], zeros)
    if act_order:
        out[f"{name}.weight_g_idx"] = ("I32", [m.columns], struct.pack(f"<{m.columns}i", *m.g_idx))
    return out


def int8(name, rows, columns, values):
    """Entries and weights: one scale a row."""
    q, s = [], []
    for r in range(rows):
        row = values[r * columns:(r + 1) * columns]
        s.append(bf16(max(map(abs, row)) / 127))
        q += [max(-128, min(127, round(x / s[-1]))) for x in row]
    entries = {f"{name}.weight": ("I8", [rows, columns], struct.pack(f"<{len(q)}b", *q)),
               f"{name}.weight_scale": ("BF16", [rows, 1], raw16(s, "BF16"))}
    return entries, [s[i // columns] * x for i, x in enumerate(q)]


def nf4(name, rows, columns, values, nested):
    """Entries and weights of blocks of 64; with nested their scales in 8 bits."""
    absmax = [f32(max(map(abs, values[at:at + 64]))) for at in range(0, len(values), 64)]
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": [rows, columns]}
    out = {f"{name}.weight.quant_map": ("F32", [16], struct.pack("<16f", *NF4))}
    if nested:
        offset = f32(sum(absmax) / len(absmax))
        levels = [f32((i - 127) / 128) for i in range(256)]  # any ascending map will do: the file says which
        scale = [f32(max(abs(a - offset) for a in absmax[at:at + 256]) or 1.0) for at in range(0, len(absmax), 256)]
        codes = [min(range(256), key=lambda c: abs(levels[c] - (a - offset) / scale[i // 256])) for i, a in enumerate(absmax)]
        absmax = [f32(f32(levels[c] * scale[i // 256]) + offset) for i, c in enumerate(codes)]
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": offset}
        out |= {f"{name}.weight.absmax": ("U8", [len(codes)], bytes(codes)), f"{name}.weight.nested_absmax": ("F32", [len(scale)], struct.pack(f"<{len(scale)}f", *scale)),
                f"{name}.weight.nested_quant_map": ("F32", [256], struct.pack("<256f", *levels))}
    else:
        out[f"{name}.weight.absmax"] = ("F32", [len(absmax)], struct.pack(f"<{len(absmax)}f", *absmax))
    q = [min(range(16), key=lambda c: abs(NF4[c] - x / (absmax[i // 64] or 1.0))) for i, x in enumerate(values)]
    text = json.dumps(state).encode()
    out |= {f"{name}.weight": ("U8", [len(q) // 2, 1], bytes(q[i] << 4 | q[i + 1] for i in range(0, len(q), 2))),
            f"{name}.weight.quant_state.bitsandbytes__nf4": ("U8", [len(text)], text)}
    return out, [f32(NF4[c] * absmax[i // 64]) for i, c in enumerate(q)]


CASES = {  # layout, group, symmetric, act-order, bits if they are not 4
    "gptq": ("gptq", 32, False, False), "gptq-sym": ("gptq", 64, True, False), "gptq-v2": ("gptq_v2", 32, False, False),
    "gptq-act": ("gptq", 32, False, True), "gptq-rows": ("gptq", -1, True, False), "awq": ("awq", 32, False, False), "awq-64": ("awq", 64, False, False),
    "ct": ("pack-quantized", 32, True, False), "ct-asym": ("pack-quantized", 64, False, False), "ct-act": ("pack-quantized", 32, False, True),
    "gptq-8": ("gptq", 32, True, False, 8), "gptq-8-act": ("gptq_v2", 64, True, True, 8), "ct-8": ("pack-quantized", -1, True, False, 8),
    "ct-rows": ("pack-quantized", -1, True, False), "ct-int8": ("int-quantized", -1, True, False), "nf4": ("nf4", 64, False, False),
    "nf4-double": ("nf4-double", 64, False, False),
}


def quantization_config(layout, group, sym, act_order, bits=4):
    if layout.startswith("gptq"):
        return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": act_order, "sym": sym, "checkpoint_format": layout, "lm_head": False,
                "true_sequential": True, "damp_percent": 0.1, "static_groups": False, "meta": {"quantizer": ["tests"]}}
    if layout == "awq":
        return {"quant_method": "awq", "bits": 4, "group_size": group, "zero_point": True, "version": "gemm", "modules_to_not_convert": None}
    if layout.startswith("nf4"):
        return {"quant_method": "bitsandbytes", "_load_in_4bit": True, "_load_in_8bit": False, "load_in_4bit": True, "load_in_8bit": False,
                "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": layout != "nf4", "bnb_4bit_compute_dtype": "bfloat16",
                "bnb_4bit_quant_storage": "uint8", "llm_int8_enable_fp32_cpu_offload": False, "llm_int8_has_fp16_weight": False,
                "llm_int8_skip_modules": None, "llm_int8_threshold": 6.0}
    weights = {"num_bits": 8 if layout == "int-quantized" else bits, "type": "int", "symmetric": sym, "strategy": "group" if group > 0 else "channel",
               "group_size": group if group > 0 else None, "dynamic": False, "actorder": "group" if act_order else None, "observer": "minmax",
               "block_structure": None, "observer_kwargs": {}}
    return {"quant_method": "compressed-tensors", "format": layout, "quantization_status": "compressed", "ignore": ["lm_head"], "kv_cache_scheme": None,
            "global_compression_ratio": None,
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights, "input_activations": None, "output_activations": None}}}


def shared_seed(name, i):
    """Matrices that read one input have one order of columns, as GPTQ makes it."""
    part = name.rsplit(".", 1)[1]
    return name.rsplit(".", 1)[0] + ("qkv" if part in ("q_proj", "k_proj", "v_proj") else "inner" if part in ("gate_proj", "up_proj") else part)


def model(case, seed=shared_seed, **sizes):
    """Entries of the folder, and those of the same one in F32."""
    layout, group, sym, act_order, bits = (*CASES[case], 4)[:5]
    packed, plain = {}, {}
    for i, (name, (dtype, shape, raw)) in enumerate(hf_folder.tensors(**sizes).items()):
        if "_proj." not in name:
            packed[name] = plain[name] = (dtype, shape, raw)
            continue
        stem, (rows, columns), values = name.removesuffix(".weight"), shape, struct.unpack(f"<{len(raw) // 4}f", raw)
        if layout == "int-quantized":
            entries, weights = int8(stem, rows, columns, values)
        elif layout.startswith("nf4"):
            if columns % 64:
                packed[name] = plain[name] = (dtype, shape, raw)
                continue
            entries, weights = nf4(stem, rows, columns, values, layout == "nf4-double")
        else:
            m = Matrix(rows, columns, values, group, sym, act_order, seed(stem, i), bf16 if layout == "pack-quantized" else f16, bits)
            entries = awq(stem, m) if layout == "awq" else compressed(stem, m, sym, act_order) if layout == "pack-quantized" else \
                gptq(stem, m, layout == "gptq_v2")
            weights = m.weights()
        packed |= entries
        plain[name] = ("F32", shape, struct.pack(f"<{len(weights)}f", *weights))
    return packed, plain


def write(folder, case, entries=None, change=None, **sizes):
    cfg = {**hf_folder.config(**sizes), "quantization_config": {**quantization_config(*CASES[case]), **(change or {})}}
    return hf_folder.write(folder, cfg=cfg, entries=entries or model(case, **sizes)[0])
