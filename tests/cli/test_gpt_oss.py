"""gpt-oss as it is published: experts of a layer in one tensor, gate and up in turn, in MXFP4 or as floats; it becomes what GGUF has."""
import random, struct

import pytest

import gguf_file
import hf_folder
import tiny_model

EMBD, FF, EXPERTS, LAYERS, VOCAB = 64, 32, 3, 2, 288
CONFIG = {"architectures": ["GptOssForCausalLM"], "model_type": "gpt_oss", "hidden_size": EMBD, "intermediate_size": FF, "num_hidden_layers": LAYERS,
          "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "vocab_size": VOCAB, "max_position_embeddings": 256, "rms_norm_eps": 1e-5,
          "num_local_experts": EXPERTS, "num_experts_per_tok": 2, "experts_per_token": 2, "sliding_window": 16, "swiglu_limit": 7.0,
          "layer_types": ["sliding_attention", "full_attention"], "tie_word_embeddings": False, "hidden_act": "silu", "attention_bias": True,
          "rope_theta": 150000, "rope_scaling": {"rope_type": "yarn", "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False,
                                                 "original_max_position_embeddings": 32}}
QUANTIZED = {"quant_method": "mxfp4", "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}
rnd = random.Random(11)


def vector(n, dtype="F32", scale=0.1):
    return tiny_model.encode([rnd.gauss(0, scale) for _ in range(n)], dtype)


def blocks_of(rows, cols):
    """Random E2M1 codes of a matrix [rows][cols] and exponents of its blocks; as the folder and as GGUF have them."""
    codes = [[rnd.randrange(16) for _ in range(cols)] for _ in range(rows)]
    scales = [[rnd.randrange(118, 122) for _ in range(cols // 32)] for _ in range(rows)]
    folder = b"".join(bytes(r[i] | r[i + 1] << 4 for i in range(0, cols, 2)) for r in codes)
    gguf = [b"".join(bytes([e]) + bytes(r[32 * b + i] | r[32 * b + i + 16] << 4 for i in range(16)) for b, e in enumerate(s)) for r, s in zip(codes, scales)]
    return folder, b"".join(map(bytes, scales)), gguf


def product(out, want, layer, name, names, rows, cols, packed):
    """One product of all experts: `names` of GGUF take every len(names)-th row of it."""
    step, at = len(names), f"model.layers.{layer}.mlp.experts.{name}"
    made = [blocks_of(rows, cols) for _ in range(EXPERTS)]
    if packed:
        out[f"{at}_blocks"] = ("U8", [EXPERTS, rows, cols // 32, 16], b"".join(m[0] for m in made))
        out[f"{at}_scales"] = ("U8", [EXPERTS, rows, cols // 32], b"".join(m[1] for m in made))
        for i, n in enumerate(names):
            want[f"blk.{layer}.{n}.weight"] = (39, [cols, rows // step, EXPERTS], b"".join(row for m in made for row in m[2][i::step]))
    else:
        values = [[[rnd.gauss(0, 0.1) for _ in range(cols)] for _ in range(rows)] for _ in range(EXPERTS)]
        out[at] = ("BF16", [EXPERTS, cols, rows], b"".join(tiny_model.encode([e[r][c] for r in range(rows)], "BF16") for e in values for c in range(cols)))
        for i, n in enumerate(names):
            want[f"blk.{layer}.{n}.weight"] = (30, [cols, rows // step, EXPERTS], b"".join(tiny_model.encode(row, "BF16") for e in values for row in e[i::step]))
    bias = [[round(rnd.gauss(0, 1) * 64) / 64 for _ in range(rows)] for _ in range(EXPERTS)]
    out[f"{at}_bias"] = ("BF16", [EXPERTS, rows], b"".join(tiny_model.encode(b, "BF16") for b in bias))
    for i, n in enumerate(names):
        kept = [struct.unpack("<e", struct.pack("<e", x))[0] for b in bias for x in b[i::step]]
        want[f"blk.{layer}.{n}.bias"] = (0, [rows // step, EXPERTS], struct.pack(f"<{len(kept)}f", *kept))


def model(packed):
    out = {"model.embed_tokens.weight": ("BF16", [VOCAB, EMBD], vector(VOCAB * EMBD, "BF16", 1)), "model.norm.weight": ("BF16", [EMBD], vector(EMBD, "BF16")),
           "lm_head.weight": ("BF16", [VOCAB, EMBD], vector(VOCAB * EMBD, "BF16", 1))}
    want = {}
    for i in range(LAYERS):
        at = f"model.layers.{i}."
        for part, rows, cols in (("q", 64, EMBD), ("k", 32, EMBD), ("v", 32, EMBD), ("o", EMBD, 64)):
            out[f"{at}self_attn.{part}_proj.weight"] = ("BF16", [rows, cols], vector(rows * cols, "BF16"))
            out[f"{at}self_attn.{part}_proj.bias"] = ("BF16", [rows], vector(rows, "BF16"))
        out |= {f"{at}self_attn.sinks": ("BF16", [4], vector(4, "BF16")), f"{at}mlp.router.weight": ("BF16", [EXPERTS, EMBD], vector(EXPERTS * EMBD, "BF16")),
                f"{at}mlp.router.bias": ("BF16", [EXPERTS], vector(EXPERTS, "BF16")), f"{at}input_layernorm.weight": ("BF16", [EMBD], vector(EMBD, "BF16", 1)),
                f"{at}post_attention_layernorm.weight": ("BF16", [EMBD], vector(EMBD, "BF16", 1))}
        product(out, want, i, "gate_up_proj", ["ffn_gate_exps", "ffn_up_exps"], 2 * FF, EMBD, packed)
        product(out, want, i, "down_proj", ["ffn_down_exps"], EMBD, FF, packed)
    return out, want


@pytest.mark.parametrize("packed", [True, False], ids=["mxfp4", "bf16"])
def test_folder_becomes_gguf(run, tmp_path, packed):
    entries, want = model(packed)
    cfg = dict(CONFIG, **({"quantization_config": QUANTIZED} if packed else {}))
    folder = hf_folder.write(tmp_path / "m", cfg=cfg, entries=entries, shards=3)
    r = run("convert", folder, tmp_path / "out.gguf")
    assert r.returncode == 0, r.stderr.decode()
    tensors = gguf_file.read(tmp_path / "out.gguf")[1]
    for name, (kind, dims, raw) in want.items():
        assert tensors[name][:2] == (kind, dims) and tensors[name][2] == raw, name
    hashes = []
    for m in (folder, tmp_path / "out.gguf"):
        r = run("run", "-m", m, "-p", "hello in the", "-n", "40", "--temp", "0", "--ignore-eos", "--raw", "--dump-logits", tmp_path / "h")
        assert r.returncode == 0, r.stderr.decode()
        hashes.append((tmp_path / "h").read_text())
    assert hashes[0] == hashes[1] and len(hashes[0].splitlines()) > 40
    if not packed:
        r = run("convert", folder, tmp_path / "q8.gguf", "--type", "q8_0")
        assert r.returncode == 0, r.stderr.decode()
        assert run("run", "-m", tmp_path / "q8.gguf", "-p", "hello", "-n", "4", "--raw").returncode == 0


BLOCKS, SCALES, BIAS = (f"model.layers.1.mlp.experts.gate_up_proj_{end}" for end in ("blocks", "scales", "bias"))


@pytest.mark.parametrize("change,words", [
    (lambda e: e.pop(SCALES), b"scale for each block"), (lambda e: e.pop(BLOCKS), b"experts are missing"), (lambda e: e.pop(BIAS), b"bias of the experts"),
    (lambda e: e.update({SCALES: ("U8", [EXPERTS, 2 * FF, 1], bytes(EXPERTS * 2 * FF))}), b"scale for each block"),
    (lambda e: e.update({BLOCKS: ("U8", [EXPERTS, 2 * FF, 16, 2], e[BLOCKS][2])}), b"MXFP4 of the experts' shape"),
    (lambda e: e.update({BLOCKS: ("I8", *e[BLOCKS][1:])}), b"MXFP4 of the experts' shape"),
    (lambda e: e.update({BLOCKS.replace(".1.", ".7."): e[BLOCKS]}), b"of a layer that config.json has not"),
    (lambda e: e.update({"model.layers.0.mlp.experts.gate_up_proj": ("BF16", [EXPERTS, EMBD, 2 * FF], bytes(EXPERTS * EMBD * 4 * FF))}), b"MXFP4 of the experts"),
])
def test_damaged(run, tmp_path, change, words):
    entries, _ = model(True)
    change(entries)
    r = run("info", "-m", hf_folder.write(tmp_path / "m", cfg=dict(CONFIG, quantization_config=QUANTIZED), entries=entries))
    assert r.returncode == 3 and words in r.stderr, r.stderr


def test_other_quantizations_are_refused(run, tmp_path):
    entries, _ = model(True)
    for cfg in (dict(CONFIG, quantization_config={"quant_method": "gptq"}), dict(hf_folder.config(), quantization_config=QUANTIZED)):
        folder = hf_folder.write(tmp_path / "m", cfg=cfg, entries=entries)
        r = run("info", "-m", folder)
        assert r.returncode == 3 and b"quantization_config" in r.stderr, r.stderr
