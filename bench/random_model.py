#!/usr/bin/env python3
"""Writes a model of random weights, for measuring speed: random_model.py OUT [TYPE] [--moe] [--layers N]

A llama of the 1B class (1.07 G weights), or with --moe a qwen3moe of 128 experts of which a token takes 8 (3 layers: 1.98 G weights).
OUT is a GGUF file, or with one of the types that GGUF has not a folder of safetensors: GPTQ's layout, compressed-tensors' bytes, bitsandbytes' NF4.
"""
import argparse, json, math, random, struct, sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
import hf_folder
import packed_folder
import tiny_model

# number in GGUF, columns and bytes of a block, where its f16 numbers are
TYPES = {
    "Q4_0": (2, 32, 18, (0,)), "Q4_1": (3, 32, 20, (0, 2)), "Q5_0": (6, 32, 22, (0,)), "Q5_1": (7, 32, 24, (0, 2)), "Q8_0": (8, 32, 34, (0,)),
    "Q2_K": (10, 256, 84, (80, 82)), "Q3_K": (11, 256, 110, (108,)), "Q4_K": (12, 256, 144, (0, 2)), "Q5_K": (13, 256, 176, (0, 2)),
    "Q6_K": (14, 256, 210, (208,)), "IQ4_NL": (20, 32, 18, (0,)), "IQ4_XS": (23, 256, 136, (0,)), "MXFP4": (39, 32, 17, ()),
    "IQ3_XXS": (18, 256, 98, (0,)), "IQ3_S": (21, 256, 110, (0,)), "IQ2_XXS": (16, 256, 66, (0,)), "IQ2_XS": (17, 256, 74, (0,)),
    "IQ2_S": (22, 256, 82, (0,)), "IQ1_S": (19, 256, 50, (0,)), "IQ1_M": (29, 256, 56, ()), "TQ1_0": (34, 256, 54, (52,)), "TQ2_0": (35, 256, 66, (64,)),
}
FOLDERS = {"INT4_32": 32, "INT4_64": 64, "INT4_128": 128, "INT8_128": 128, "NF4": 64}  # columns of a group
F32 = 0
N_BLOCK = 65521  # random blocks, over and over; a prime, so that no two rows are alike
N_EMBD, N_VOCAB = 2048, 49152
LLAMA = {"feed_forward_length": 8192, "attention.head_count": 32, "attention.head_count_kv": 8, "rope.dimension_count": 64, "vocab_size": N_VOCAB}
MOE = {"feed_forward_length": 6144, "attention.head_count": 32, "attention.head_count_kv": 4, "attention.key_length": 128, "attention.value_length": 128,
       "expert_count": 128, "expert_used_count": 8, "expert_feed_forward_length": 768, "vocab_size": N_VOCAB}


def block(rnd, name):
    """Random bytes with small numbers; the weights of Q4_0 have no mean, which would make all rows alike."""
    _, _, n, halves = TYPES[name]
    b = bytearray(rnd.randbytes(n))
    if name == "Q4_0":
        b = bytearray(2) + bytes(rnd.randint(1, 15) | rnd.randint(1, 15) << 4 for _ in range(16))
    for at in halves:
        struct.pack_into("<e", b, at, 4e-3 if name == "Q4_0" else 2e-4)
    if name == "MXFP4":
        b[0] = 118
    if name == "IQ1_M":  # the number's four digits are in the upper halves of the last four words
        for i, digit in enumerate((0, 0, 4, 1)):
            b[49 + 2 * i] = b[49 + 2 * i] & 15 | digit << 4
    return bytes(b)


def shapes_of(n_layer, moe):
    """(name, shape innermost first)"""
    keys = MOE if moe else LLAMA
    head = keys.get("attention.key_length", 64)
    q, kv, ff = head * keys["attention.head_count"], head * keys["attention.head_count_kv"], keys["feed_forward_length"]
    yield "token_embd", [N_EMBD, N_VOCAB]
    yield "output_norm", [N_EMBD]
    for i in range(n_layer):
        layer = {"attn_norm": [N_EMBD], "attn_q": [N_EMBD, q], "attn_k": [N_EMBD, kv], "attn_v": [N_EMBD, kv], "attn_output": [q, N_EMBD], "ffn_norm": [N_EMBD]}
        if moe:
            n, ff = keys["expert_count"], keys["expert_feed_forward_length"]
            layer |= {"attn_q_norm": [head], "attn_k_norm": [head], "ffn_gate_inp": [N_EMBD, n], "ffn_gate_exps": [N_EMBD, ff, n],
                      "ffn_up_exps": [N_EMBD, ff, n], "ffn_down_exps": [ff, N_EMBD, n]}
        else:
            layer |= {"ffn_gate": [N_EMBD, ff], "ffn_up": [N_EMBD, ff], "ffn_down": [ff, N_EMBD]}
        yield from ((f"blk.{i}.{name}", shape) for name, shape in layer.items())


def metadata(name, n_layer, moe):
    arch, tiny = "qwen3moe" if moe else "llama", tiny_model.model()[0]
    more = N_VOCAB - len(tiny["tokenizer.ggml.tokens"])
    meta = {k: v for k, v in tiny.items() if k.startswith("tokenizer.")}
    meta["tokenizer.ggml.tokens"] = meta["tokenizer.ggml.tokens"] + [f"[more{i}]" for i in range(more)]
    meta["tokenizer.ggml.token_type"] = meta["tokenizer.ggml.token_type"] + [5] * more
    meta |= {"general.architecture": arch, "general.name": f"random {name}", f"{arch}.context_length": 8192, f"{arch}.embedding_length": N_EMBD,
             f"{arch}.block_count": n_layer, f"{arch}.attention.layer_norm_rms_epsilon": 1e-5, f"{arch}.rope.freq_base": 10000.0}
    return meta | {f"{arch}.{k}": v for k, v in (MOE if moe else LLAMA).items()}


def packed(name, stem, columns, rows):
    """The tensors of one matrix: name, type, shape, bytes of it (its filling, over and over)."""
    group, scale = FOLDERS[name], struct.pack("<e", 4e-3 if name != "INT8_128" else 2e-4)
    rnd = random.Random(7)
    some = rnd.randbytes(N_BLOCK)
    if name == "NF4":
        state = json.dumps({"quant_type": "nf4", "blocksize": 64, "shape": [rows, columns]}).encode()
        return [(f"{stem}.weight", "U8", [rows * columns // 2, 1], some), (f"{stem}.weight.absmax", "F32", [rows * columns // 64], struct.pack("<f", 0.05)),
                (f"{stem}.weight.quant_map", "F32", [16], struct.pack("<16f", *packed_folder.NF4)),
                (f"{stem}.weight.quant_state.bitsandbytes__nf4", "U8", [len(state)], state)]
    if name == "INT8_128":
        return [(f"{stem}.weight", "I8", [rows, columns], some), (f"{stem}.weight_scale", "F16", [rows, 1], scale)]
    return [(f"{stem}.qweight", "I32", [columns // 8, rows], some), (f"{stem}.scales", "F16", [columns // group, rows], scale),
            (f"{stem}.qzeros", "I32", [columns // group, rows // 8], b"\x77")]


def write_folder(path, name, n_layer):
    """A llama whose matrices are quantized, its head included; embedding and norms are floats."""
    case = {"NF4": "nf4", "INT8_128": "ct-int8"}.get(name, "gptq")
    layout, _, sym, act = packed_folder.CASES[case]
    cfg = {**hf_folder.config(), "hidden_size": N_EMBD, "intermediate_size": LLAMA["feed_forward_length"], "num_hidden_layers": n_layer,
           "num_attention_heads": 32, "num_key_value_heads": 8, "vocab_size": N_VOCAB, "max_position_embeddings": 8192, "tie_word_embeddings": False,
           "quantization_config": packed_folder.quantization_config(layout, FOLDERS[name] if layout == "gptq" else -1, sym, act)}
    tensors = [("model.embed_tokens.weight", "BF16", [N_VOCAB, N_EMBD], struct.pack("<f", 0.02)[2:] + struct.pack("<f", -0.01)[2:] + struct.pack("<f", 0.03)[2:])]
    tensors += packed(name, "lm_head", N_EMBD, N_VOCAB)
    for n, shape in shapes_of(n_layer, False):
        if n == "token_embd":
            continue
        stem = hf_folder.hf_name(n + ".weight").removesuffix(".weight")
        tensors += [(stem + ".weight", "F32", shape, struct.pack("<f", 1.0))] if len(shape) == 1 else packed(name, stem, *shape)
    hf_folder.write(path, cfg=cfg, entries={"model.norm.weight": ("F32", [1], b"1234")})
    tokenizer = hf_folder.tokenizer()
    vocab = tokenizer["model"]["vocab"]
    vocab.update({f"[more{i}]": len(vocab) + i for i in range(N_VOCAB - len(vocab))})
    (Path(path) / "tokenizer.json").write_text(json.dumps(tokenizer))
    widths, head, at = {"U8": 1, "I8": 1, "I32": 4, "F32": 4, "F16": 2, "BF16": 2}, {}, 0
    for n, dtype, shape, _ in tensors:
        size = math.prod(shape) * widths[dtype]
        head[n] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(head).encode()
    with open(Path(path) / "model.safetensors", "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for n, _, _, filling in tensors:
            size = head[n]["data_offsets"][1] - head[n]["data_offsets"][0]
            chunk = filling * max(1, min(size, 1 << 22) // len(filling))
            for _ in range(size // len(chunk)):
                f.write(chunk)
            f.write(chunk[:size % len(chunk)])


def write(path, name="Q4_0", n_layer=0, moe=False):
    if name in FOLDERS:
        return write_folder(path, name, n_layer or 16)
    number, columns, n_bytes, _ = TYPES[name]
    n_layer = n_layer or (3 if moe else 16)
    meta, rnd, tensors = metadata(name, n_layer, moe), random.Random(7), []
    for n, shape in shapes_of(n_layer, moe):
        n_weight, floats = math.prod(shape), len(shape) == 1 or n.endswith("gate_inp")
        size = 4 * n_weight if floats else n_weight // columns * n_bytes
        tensors.append((n + ".weight", shape, F32 if floats else number, size))
    some = b"".join(block(rnd, name) for _ in range(N_BLOCK))
    with open(path, "wb") as f:
        f.write(tiny_model.head(meta, tensors))
        for _, shape, kind, size in tensors:
            if kind == F32:
                n_weight = math.prod(shape)
                f.write(struct.pack(f"<{n_weight}f", *(1.0 if len(shape) == 1 else rnd.gauss(0, 0.02) for _ in range(n_weight))))
            else:
                for _ in range(size // len(some)):
                    f.write(some)
                f.write(some[:size % len(some)])
            f.write(b"\0" * (-size % 32))


if __name__ == "__main__":
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("out", metavar="OUT")
    a.add_argument("type", nargs="?", default="Q4_0", choices=[*TYPES, *FOLDERS])
    a.add_argument("--moe", action="store_true")
    a.add_argument("--layers", type=int, default=0)
    o = a.parse_args()
    write(o.out, o.type, o.layers, o.moe)
