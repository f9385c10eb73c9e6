#!/usr/bin/env python3
"""Writes a tiny random llama model with a byte-level tokenizer and a chat template: tiny_model.py OUT.gguf [F32|F16|BF16|Q8_0|Q4_0] [key=value ...]

Nothing but the standard library; the same bytes on every machine. n_ctx, n_layer, n_embd, template=0 and alike=1 (all layers
have the weights of the first: a large file in little time) and n_vocab (rows of the embedding beyond 288 are the first ones
again) can be set by key=value.
"""
import functools, random, struct, sys

TYPES = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8, "BF16": 30}
TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def byte_spellings():
    """GPT-2's printable characters for all 256 bytes."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    extra, out = 0, {}
    for b in range(256):
        if b in keep:
            out[b] = chr(b)
        else:
            out[b] = chr(256 + extra)
            extra += 1
    return out


def text(s):
    b = s.encode()
    return struct.pack("<Q", len(b)) + b


def value(v):
    if isinstance(v, bool):
        return 7, struct.pack("<?", v)
    if isinstance(v, int):
        return 4, struct.pack("<I", v)
    if isinstance(v, float):
        return 6, struct.pack("<f", v)
    if isinstance(v, str):
        return 8, text(v)
    kind = 8 if isinstance(v[0], str) else 5
    return 9, struct.pack("<IQ", kind, len(v)) + b"".join(text(x) if kind == 8 else struct.pack("<i", x) for x in v)


def encode(values, kind):
    if kind == "F32":
        return struct.pack(f"<{len(values)}f", *values)
    if kind == "F16":
        return struct.pack(f"<{len(values)}e", *values)
    if kind == "BF16":
        bits = struct.unpack(f"<{len(values)}I", struct.pack(f"<{len(values)}f", *values))
        return struct.pack(f"<{len(values)}H", *(b + 0x7fff + (b >> 16 & 1) >> 16 for b in bits))
    out = []
    for i in range(0, len(values), 32):
        block = values[i:i + 32]
        if kind == "Q8_0":
            d = max(abs(x) for x in block) / 127 or 1.0
            out.append(struct.pack("<e32b", d, *(max(-127, min(127, round(x / d))) for x in block)))
        else:
            d = max(abs(x) for x in block) / 7 or 1.0
            q = [max(0, min(15, round(x / d) + 8)) for x in block]
            out.append(struct.pack("<e16B", d, *(q[j] | q[j + 16] << 4 for j in range(16))))
    return b"".join(out)


@functools.lru_cache
def model(n_ctx=256, n_layer=2, n_embd=64, template=1, alike=0, n_ff=96, n_vocab=288):
    """Its metadata, and its tensors as (name, shape, values), innermost dimension first."""
    rnd = random.Random(7)
    spell = byte_spellings()
    tokens = [spell[b] for b in range(256)] + ["\u0120t", "he", "\u0120the", "in", "<|im_start|>", "<|im_end|>", "<|end|>"]
    tokens += [f"[unused{i}]" for i in range(n_vocab - len(tokens))]
    kinds = [1] * 260 + [3, 3, 3] + [5] * (len(tokens) - 263)
    n_head, n_kv = 4, 2
    dim = n_embd // n_head
    meta = {"general.architecture": "llama", "general.name": "tiny", "llama.context_length": n_ctx, "llama.embedding_length": n_embd,
            "llama.block_count": n_layer, "llama.feed_forward_length": n_ff, "llama.attention.head_count": n_head,
            "llama.attention.head_count_kv": n_kv, "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 10000.0,
            "llama.rope.dimension_count": dim, "llama.vocab_size": n_vocab, "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
            "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": kinds, "tokenizer.ggml.bos_token_id": 262,
            "tokenizer.ggml.eos_token_id": 261, "tokenizer.ggml.add_bos_token": False,
            "tokenizer.ggml.merges": ["\u0120 t", "h e", "\u0120t he", "i n"]}
    if template:
        meta["tokenizer.chat_template"] = TEMPLATE
    shapes = [("token_embd.weight", [n_embd, n_vocab]), ("output_norm.weight", [n_embd])]
    for i in range(n_layer):
        shapes += [(f"blk.{i}.{name}.weight", shape) for name, shape in (
            ("attn_norm", [n_embd]), ("attn_q", [n_embd, n_head * dim]), ("attn_k", [n_embd, n_kv * dim]), ("attn_v", [n_embd, n_kv * dim]),
            ("attn_output", [n_head * dim, n_embd]), ("ffn_norm", [n_embd]), ("ffn_gate", [n_embd, n_ff]), ("ffn_up", [n_embd, n_ff]),
            ("ffn_down", [n_ff, n_embd]))]
    tensors, made = [], {}
    for name, shape in shapes:
        kin = name.split(".", 2)[-1] if alike else name
        if kin in made:
            tensors.append((name, shape, made[kin]))
            continue
        n = shape[0] * (min(shape[1], 288) if name == "token_embd.weight" else shape[1] if len(shape) > 1 else 1)
        tensors.append((name, shape, [1.0 + rnd.uniform(-0.1, 0.1) if len(shape) == 1 else rnd.gauss(0, 0.6 / shape[0] ** 0.5 * 4)
                                      for _ in range(n)]))
        made[kin] = tensors[-1][2]
    name, shape, values = tensors[0]
    tensors[0] = name, shape, (values * (n_vocab // 288 + 1))[:shape[0] * n_vocab]
    return meta, tensors


def head(meta, tensors):
    """The beginning of a GGUF file, up to the data; tensors: (name, shape, type number, bytes), each padded to 32 in the data."""
    out, at = struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(meta)), 0
    for k, v in meta.items():
        t, b = value(v)
        out += text(k) + struct.pack("<I", t) + b
    for name, shape, number, size in tensors:
        out += text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, number, at)
        at += size + -size % 32
    return out + b"\0" * (-len(out) % 32)


def write(path, kind="Q8_0", **sizes):
    meta, tensors = model(**sizes)
    infos, data, encoded = [], b"", {}
    for name, shape, values in tensors:
        t = "F32" if len(shape) == 1 else kind
        if id(values) not in encoded:
            encoded[id(values)] = encode(values, t)
        raw = encoded[id(values)]
        infos.append((name, shape, TYPES[t], len(raw)))
        data += raw + b"\0" * (-len(raw) % 32)
    with open(path, "wb") as f:
        f.write(head(meta, infos) + data)


if __name__ == "__main__":
    args = [a for a in sys.argv[1:] if "=" not in a]
    write(*args, **{k: int(v) for k, v in (a.split("=") for a in sys.argv[1:] if "=" in a)})
