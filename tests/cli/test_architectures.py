"""Every architecture's fixture, written as the folder that transformers would save, becomes the fixture again: names, keys, weights."""
import json, struct
from pathlib import Path

import pytest

import gguf_file
import hf_folder
from conftest import ROOT

PLAIN = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
         "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "attn_qkv": "self_attn.qkv_proj", "attn_norm": "input_layernorm",
         "attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm", "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
         "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
GEMMA = {**PLAIN, "post_attention_norm": "post_attention_layernorm", "ffn_norm": "pre_feedforward_layernorm", "post_ffw_norm": "post_feedforward_layernorm"}
PHI3 = {**PLAIN, "ffn_up": "mlp.gate_up_proj"}
# file: class, names, what is in config.json beside the sizes
ROWS = {
    "mistral_window": ("MistralForCausalLM", PLAIN, {}),
    "qwen2_bias": ("Qwen2ForCausalLM", PLAIN, {"use_sliding_window": False, "max_window_layers": 28}),
    "qwen2_untied": ("Qwen2ForCausalLM", PLAIN, {}),
    "qwen3_norms": ("Qwen3ForCausalLM", PLAIN, {}),
    "gemma2_all": ("Gemma2ForCausalLM", GEMMA, {"hidden_activation": "gelu_pytorch_tanh"}),
    "gemma3_all": ("Gemma3ForCausalLM", GEMMA, {"hidden_activation": "gelu_pytorch_tanh"}),
    "phi3_fused": ("Phi3ForCausalLM", PHI3, {}),
    "phi3_long": ("Phi3ForCausalLM", PHI3, {}),
}
KEYS = {"block_count": "num_hidden_layers", "context_length": "max_position_embeddings", "embedding_length": "hidden_size",
        "feed_forward_length": "intermediate_size", "attention.head_count": "num_attention_heads", "attention.head_count_kv": "num_key_value_heads",
        "attention.layer_norm_rms_epsilon": "rms_norm_eps", "attention.key_length": "head_dim", "attention.sliding_window": "sliding_window",
        "rope.freq_base": "rope_theta", "rope.freq_base_swa": "rope_local_base_freq", "attn_logit_softcapping": "attn_logit_softcapping",
        "final_logit_softcapping": "final_logit_softcapping", "rope.scaling.original_context_length": "original_max_position_embeddings"}


def floats(raw):
    return struct.unpack(f"<{len(raw) // 4}f", raw)


def config_of(meta, tensors, cls, more):
    arch = meta["general.architecture"] + "."
    cfg = {"architectures": [cls], "tie_word_embeddings": "output.weight" not in tensors, **more}
    cfg.update({there: meta[arch + here] for here, there in KEYS.items() if arch + here in meta})
    if arch + "attention.scale" in meta:
        cfg["query_pre_attn_scalar"] = meta[arch + "attention.scale"] ** -2
    if arch + "rope.dimension_count" in meta:
        cfg["partial_rotary_factor"] = meta[arch + "rope.dimension_count"] / meta[arch + "attention.key_length"]
    if meta.get(arch + "rope.scaling.type") == "linear":
        cfg["rope_scaling"] = {"rope_type": "linear", "factor": meta[arch + "rope.scaling.factor"]}
    if "rope_factors_long.weight" in tensors:
        long, short = (list(floats(tensors[f"rope_factors_{n}.weight"][2])) for n in ("long", "short"))
        cfg["rope_scaling"] = {"type": "longrope", "long_factor": long, "short_factor": short,
                               "attention_factor": meta.get(arch + "rope.scaling.attn_factor")}
    return cfg


def folder_of(path, tmp_path, cls, names, more):
    meta, tensors = gguf_file.read(path)
    entries = {}
    for name, (kind, dims, raw) in tensors.items():
        if name.startswith("rope_"):
            continue
        block, _, rest = name.rpartition("blk.")[2].partition(".") if name.startswith("blk.") else ("", "", name)
        part, _, end = rest.rpartition(".")
        there = (f"model.layers.{block}." if block else "") + f"{names[part]}.{end}"
        values = floats(raw)
        if cls.startswith("Gemma") and part.endswith("norm"):
            values = [v - 1 for v in values]
        if cls == "MistralForCausalLM" and part in ("attn_q", "attn_k"):
            values = hf_folder.halves(values, dims[0], meta["llama.attention.key_length"])
        entries[there] = ("F32", dims[::-1], struct.pack(f"<{len(values)}f", *values))
        assert kind == 0
    return hf_folder.write(tmp_path / "m", entries=entries, cfg=config_of(meta, tensors, cls, more)), meta, tensors


@pytest.mark.parametrize("fixture", ROWS)
def test_folder_becomes_the_fixture(run, tmp_path, fixture):
    cls, names, more = ROWS[fixture]
    folder, want_meta, want = folder_of(ROOT / f"tests/fixtures/{fixture}.gguf", tmp_path, cls, names, more)
    r = run("convert", folder, tmp_path / "out.gguf")
    assert r.returncode == 0, r.stderr.decode()
    meta, tensors = gguf_file.read(tmp_path / "out.gguf")
    assert set(tensors) == set(want)
    for name in want:
        assert tensors[name][:2] == want[name][:2], name
        if cls.startswith("Gemma") and "norm" in name:  # 1 is taken off and added again
            assert all(abs(a - b) <= 1e-6 for a, b in zip(floats(tensors[name][2]), floats(want[name][2])))
        else:
            assert tensors[name][2] == want[name][2], name
    arch = want_meta["general.architecture"] + "."
    for key, value in want_meta.items():
        if key.startswith(arch):
            assert meta[key] == (pytest.approx(value, rel=1e-6) if isinstance(value, float) else value), key


def test_every_architecture_that_runs_is_here():
    rows = (Path(ROOT) / "src/model/architectures.inc").read_text()
    have = {gguf_file.read(ROOT / f"tests/fixtures/{f}.gguf")[0]["general.architecture"] for f in ROWS}
    assert all(f'ARCH("{a}"' in rows for a in have) and len(have) == 6
