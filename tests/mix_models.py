"""Small models whose tensors have the names and the proportions that the mixes of `lathe quantize` go by; of weights that are all alike."""
import math

import tiny_model

# architecture, layers, columns, heads, key heads, feed-forward, experts, tied
MODELS = {"llama": ("llama", 16, 256, 4, 2, 256, 0, True), "grouped": ("llama", 16, 256, 4, 1, 256, 0, False), "narrow": ("llama", 9, 96, 3, 1, 160, 0, True),
          "gemma3": ("gemma3", 18, 320, 4, 1, 256, 0, True), "experts": ("qwen3moe", 8, 256, 4, 2, 256, 8, False),
          "more experts": ("qwen3moe", 8, 256, 4, 1, 96, 16, False), "large": ("llama", 80, 256, 4, 1, 32, 0, True)}
MATRICES = ("token_embd", "output", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down", "ffn_gate_exps", "ffn_up_exps", "ffn_down_exps")


def shapes(arch, n_layer, n, heads, kv, ff, experts, tied, n_vocab, dim):
    yield from [("token_embd", [n, n_vocab]), ("output_norm", [n])] + ([] if tied else [("output", [n, n_vocab])])
    layer = {"attn_norm": [n], "attn_q": [n, dim * heads], "attn_k": [n, dim * kv], "attn_v": [n, dim * kv], "attn_output": [dim * heads, n], "ffn_norm": [n]}
    if arch != "llama":
        layer |= {"attn_q_norm": [dim], "attn_k_norm": [dim]}
    if arch == "gemma3":
        layer |= {"post_attention_norm": [n], "post_ffw_norm": [n]}
    if experts:
        layer |= {"ffn_gate_inp": [n, experts], "ffn_gate_exps": [n, ff, experts], "ffn_up_exps": [n, ff, experts], "ffn_down_exps": [ff, n, experts]}
    else:
        layer |= {"ffn_gate": [n, ff], "ffn_up": [n, ff], "ffn_down": [ff, n]}
    for i in range(n_layer):
        yield from ((f"blk.{i}.{name}", shape) for name, shape in layer.items())


def write(path, name):
    arch, n_layer, n, heads, kv, ff, experts, tied = MODELS[name]
    dim, tiny = 32 if name == "large" else 64, tiny_model.model()[0]
    meta = {k: v for k, v in tiny.items() if k.startswith("tokenizer.")}
    n_vocab = len(meta["tokenizer.ggml.tokens"])
    keys = {"context_length": 256, "embedding_length": n, "block_count": n_layer, "feed_forward_length": ff, "attention.head_count": heads,
            "attention.head_count_kv": kv, "attention.layer_norm_rms_epsilon": 1e-5, "rope.freq_base": 10000.0, "rope.dimension_count": dim,
            "attention.key_length": dim, "attention.value_length": dim, "vocab_size": n_vocab}
    if arch == "gemma3":
        keys["attention.sliding_window"] = 64
    if experts:
        keys |= {"expert_count": experts, "expert_used_count": 2, "expert_feed_forward_length": ff}
    meta |= {"general.architecture": arch, "general.name": name, **{f"{arch}.{k}": v for k, v in keys.items()}}
    infos = [(f"{t}.weight", shape, *((0, 4 * shape[0]) if len(shape) == 1 else (1, 2 * math.prod(shape))))
             for t, shape in shapes(arch, n_layer, n, heads, kv, ff, experts, tied, n_vocab, dim)]
    with open(path, "wb") as f:
        f.write(tiny_model.head(meta, infos))
        for _, shape, kind, size in infos:
            some = tiny_model.encode([1.0] * 4 if kind == 0 else [0.5, -0.25, 1.0, 0.125], "F16" if kind else "F32")
            f.write((some * (size // len(some) + 1))[:size] + b"\0" * (-size % 32))
    return [t for t, shape, *_ in infos if len(shape) > 1 and "gate_inp" not in t]


def by_tensor(types):
    """types: name -> type of a file. What a kind of tensor has in each layer, in runs: {"attn_v": "Q6_K 2 Q4_K 14"}."""
    out = {}
    for part in MATRICES:
        runs = []
        for layer in range(200):
            kind = types.get(f"blk.{layer}.{part}.weight", types.get(f"{part}.weight") if layer == 0 else None)
            if kind and runs and runs[-1][0] == kind:
                runs[-1][1] += 1
            elif kind:
                runs.append([kind, 1])
        if runs:
            out[part] = " ".join(f"{kind} {n}" for kind, n in runs)
    return out
