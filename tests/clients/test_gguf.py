"""Folders that PyPI's safetensors wrote, and files that its gguf reads: what lathe convert writes is what others mean."""
import json, os, subprocess, sys
from pathlib import Path

import gguf
import numpy as np
import pytest
from gguf import quants
from safetensors.numpy import save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))
import hf_folder  # noqa: E402
import tiny_model  # noqa: E402

PROGRAM = os.environ.get("LATHE_PROGRAM", str(ROOT / "build/lathe"))
Q = gguf.GGMLQuantizationType


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = hf_folder.write(tmp_path_factory.mktemp("hf") / "m")
    arrays = {n: np.frombuffer(raw, np.float32).reshape(shape) for n, (_, shape, raw) in hf_folder.tensors().items()}
    save_file(arrays, place / "model.safetensors", metadata={"format": "pt"})
    return place


def weights():
    return {name: np.array(values, np.float32).reshape(shape[::-1]) for name, shape, values in tiny_model.model()[1]}


def convert(folder, tmp_path, kind, command="convert", *args):
    out = tmp_path / f"{command}-{kind}.gguf"
    subprocess.run([PROGRAM, command, folder, out, "--type", kind, *args], check=True, env={**os.environ, "HOME": str(tmp_path)})
    return gguf.GGUFReader(out)


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16"])
def test_gguf_reads_the_same_bits(folder, tmp_path, kind):
    reader, want = convert(folder, tmp_path, kind), weights()
    assert {t.name for t in reader.tensors} == set(want)
    for t in reader.tensors:
        type_of = Q.F32 if want[t.name].ndim == 1 else getattr(Q, kind.upper())
        assert t.tensor_type == type_of and list(t.shape) == list(want[t.name].shape[::-1])
        mine, theirs = np.asarray(t.data).view(np.uint8).ravel(), quants.quantize(want[t.name], type_of).view(np.uint8).ravel()
        assert np.array_equal(mine, theirs), t.name


@pytest.mark.parametrize("kind", ["q8_0", "q5_1", "q5_0", "q4_1", "q4_0"])
def test_gguf_reads_blocks_with_a_lower_error_than_its_own(folder, tmp_path, kind):
    reader, want = convert(folder, tmp_path, kind, "quantize", "--pure"), weights()
    assert {t.name for t in reader.tensors} == set(want)
    n_lower = 0
    for t in (t for t in reader.tensors if want[t.name].ndim > 1):
        w, type_of = want[t.name], getattr(Q, kind.upper())
        assert t.tensor_type == type_of and list(t.shape) == list(w.shape[::-1])
        mine, theirs = (float(np.square(quants.dequantize(x, type_of).reshape(w.shape) - w, dtype=np.float64).sum()) for x in (t.data, quants.quantize(w, type_of)))
        assert mine <= theirs * (1 + 1e-9), t.name
        n_lower += mine < theirs * 0.99
    assert n_lower > len(want) / 2


def test_convert_and_quantize_are_one_encoder(folder, tmp_path):
    one, other = (convert(folder, tmp_path, "q8_0", command) for command in ("convert", "quantize"))
    assert all(np.array_equal(a.data, b.data) and a.name == b.name for a, b in zip(one.tensors, other.tensors, strict=True))


def test_gguf_reads_the_metadata(folder, tmp_path):
    reader = convert(folder, tmp_path, "f16")
    want = {"general.architecture": "llama", "llama.block_count": 2, "llama.attention.head_count_kv": 2, "llama.rope.freq_base": 10000.0,
            "general.file_type": 1, "general.type": "model", "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
            "tokenizer.ggml.add_bos_token": False, "tokenizer.ggml.bos_token_id": 262, "tokenizer.chat_template": tiny_model.TEMPLATE}
    for key, value in want.items():
        assert reader.get_field(key).contents() == value, key
    tok = hf_folder.tokenizer()
    assert [reader.get_field("tokenizer.ggml.tokens").contents(i) for i in range(288)] == list(tok["model"]["vocab"])
    assert reader.get_field("tokenizer.ggml.merges").contents() == tok["model"]["merges"]
    assert reader.get_field("tokenizer.ggml.token_type").contents() == [3 if 260 <= i < 263 else 1 for i in range(288)]
    assert reader.get_field("tokenizer.huggingface.json") is None


@pytest.mark.parametrize("arch,names", [
    (gguf.MODEL_ARCH.LLAMA, ["model.layers.3.self_attn.q_proj", "model.layers.3.mlp.down_proj", "model.layers.3.input_layernorm", "lm_head",
                             "model.layers.3.block_sparse_moe.gate"]),
    (gguf.MODEL_ARCH.QWEN3, ["model.layers.3.self_attn.q_norm", "model.layers.3.post_attention_layernorm"]),
    (gguf.MODEL_ARCH.QWEN3MOE, ["model.layers.3.mlp.gate"]),
    (gguf.MODEL_ARCH.GEMMA3, ["model.layers.3.pre_feedforward_layernorm", "model.layers.3.post_feedforward_layernorm",
                              "model.layers.3.self_attn.k_norm"]),
    (gguf.MODEL_ARCH.PHI3, ["model.layers.3.self_attn.qkv_proj", "model.layers.3.mlp.gate_up_proj"]),
    (gguf.MODEL_ARCH.BERT, ["encoder.layer.3.attention.self.query", "encoder.layer.3.attention.output.LayerNorm", "embeddings.word_embeddings",
                            "encoder.layer.3.output.LayerNorm", "encoder.layer.3.intermediate.dense", "embeddings.LayerNorm",
                            "embeddings.position_embeddings", "embeddings.token_type_embeddings"])])
def test_names_are_those_of_the_other_converter(arch, names):
    rows = (ROOT / "src/format/hf_names.inc").read_text()
    known = gguf.get_tensor_name_map(arch, 8)
    for name in names:
        ours = f'"{name}.weight", "{known.get_name(name)}.weight"'.replace(".3.", ".%.")
        assert ours in rows, ours
