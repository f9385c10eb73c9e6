"""Writes the tiny model of tiny_model.py as a Hugging Face folder: config.json, safetensors (sharded on wish), tokenizer.json.

The other way round than the program reads it, and independent of it: names, rotary halves, configuration are those that transformers
writes for a LlamaForCausalLM.
"""
import json, struct
from pathlib import Path

import tiny_model

NAMES = {"attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj"}


def hf_name(name):
    if not name.startswith("blk."):
        return {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}[name]
    _, layer, part, end = name.split(".")
    return f"model.layers.{layer}.{NAMES[part]}.{end}"


def halves(values, cols, dim):
    """Rows whose rotary pairs are side by side, as halves of each head."""
    rows = [values[i:i + cols] for i in range(0, len(values), cols)]
    out = []
    for h in range(0, len(rows), dim):
        out += rows[h:h + dim:2] + rows[h + 1:h + dim:2]
    return [x for row in out for x in row]


def safetensors(entries, metadata={"format": "pt"}, pad=True):
    """entries: name -> (dtype, shape, bytes)."""
    head, data = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, raw) in entries.items():
        head[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(head).encode()
    text += b" " * (-len(text) % 8 if pad else (1 if len(text) % 2 == 0 else 0))
    return struct.pack("<Q", len(text)) + text + data


def tensors(kind="F32", norms=None, **sizes):
    """name -> (dtype, shape, bytes) of the whole model."""
    meta, all_tensors = tiny_model.model(**sizes)
    out = {}
    for name, shape, values in all_tensors:
        if ".attn_q." in name or ".attn_k." in name:
            values = halves(values, shape[0], meta["llama.rope.dimension_count"])
        dtype = (norms or "F32") if len(shape) == 1 else kind
        out[hf_name(name)] = (dtype, shape[::-1], tiny_model.encode(values, dtype))
    return out


def config(**sizes):
    meta, _ = tiny_model.model(**sizes)
    return {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": meta["llama.embedding_length"],
            "intermediate_size": meta["llama.feed_forward_length"], "num_hidden_layers": meta["llama.block_count"],
            "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_act": "silu", "max_position_embeddings": meta["llama.context_length"],
            "initializer_range": 0.02, "rms_norm_eps": 1e-5, "use_cache": True, "pad_token_id": None, "bos_token_id": 262,
            "eos_token_id": 261, "pretraining_tp": 1, "tie_word_embeddings": True, "rope_theta": 10000.0, "rope_scaling": None,
            "attention_bias": False, "attention_dropout": 0.0, "mlp_bias": False, "vocab_size": meta["llama.vocab_size"],
            "torch_dtype": "float32", "transformers_version": "4.46.0"}


def tokenizer():
    meta, _ = tiny_model.model()
    tokens = meta["tokenizer.ggml.tokens"]
    added = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
             for i, t in enumerate(tokens) if 260 <= i < 263]
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None, "pre_tokenizer": byte_level,
            "post_processor": None, "decoder": byte_level,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None, "end_of_word_suffix": None,
                      "fuse_unk": False, "byte_fallback": False, "ignore_merges": False, "vocab": {t: i for i, t in enumerate(tokens)},
                      "merges": meta["tokenizer.ggml.merges"]}}


def write(folder, kind="F32", shards=1, cfg=None, entries=None, norms=None, pad=True, **sizes):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries = entries or tensors(kind, norms, **sizes)
    (folder / "config.json").write_text(json.dumps(cfg or config(**sizes), indent=2))
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer(), ensure_ascii=False))
    (folder / "tokenizer_config.json").write_text(json.dumps({"add_bos_token": False, "bos_token": "<|end|>", "eos_token": "<|im_end|>",
                                                              "chat_template": tiny_model.TEMPLATE}))
    (folder / "generation_config.json").write_text(json.dumps({"bos_token_id": 262, "eos_token_id": [261, 262]}))
    if shards == 1:
        (folder / "model.safetensors").write_bytes(safetensors(entries, pad=pad))
        return folder
    names, where = list(entries), {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        mine = names[i * len(names) // shards:(i + 1) * len(names) // shards]
        (folder / file).write_bytes(safetensors({n: entries[n] for n in mine}, pad=pad))
        where.update({n: file for n in mine})
    size = sum(len(e[2]) for e in entries.values())
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": size}, "weight_map": where}))
    return folder
