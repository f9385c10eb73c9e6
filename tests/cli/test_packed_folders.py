"""Folders with quantized weights (GPTQ, AWQ, compressed-tensors, bitsandbytes): read as what they mean, run, and refused by name where they lie."""
import hashlib, json, struct

import pytest

import hf_folder
import packed_folder
from conftest import ROOT
from gguf_file import read


@pytest.fixture(scope="module", params=packed_folder.CASES)
def both(request, tmp_path_factory):
    """A quantized folder and the same model in F32."""
    place = tmp_path_factory.mktemp("packed")
    packed, plain = packed_folder.model(request.param, n_ctx=512)
    return request.param, packed_folder.write(place / "packed", request.param, packed, n_ctx=512), \
        hf_folder.write(place / "plain", entries=plain, n_ctx=512)


def converted(run, folder, to):
    r = run("convert", folder, to, "--type", "f32")
    assert r.returncode == 0, r.stderr.decode()
    return to.read_bytes()


def test_weights_are_those_that_are_meant(run, both, tmp_path):
    _, packed, plain = both
    a, b = (run("convert", x, tmp_path / f"{i}.gguf", "--type", "f32") for i, x in enumerate((packed, plain)))
    assert a.returncode == 0 and b.returncode == 0, a.stderr + b.stderr
    assert tensors(tmp_path / "0.gguf") == tensors(tmp_path / "1.gguf")


def tensors(path):
    return read(path)[1]


def logits(run, model, to, *args):
    r = run("run", "-m", model, "--raw", "-p", "the in hello the quick brown fox jumps over it", "-n", "6", "--temp", "0", "--ignore-eos", "--no-cache",
            "--dump-logits", to, *args)
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout, to.read_text()


def perplexity(run, model, tmp_path, *args):
    (tmp_path / "text").write_text("the in hello the quick brown fox jumps over it, in the end. " * 16)
    r = run("perplexity", "-m", model, "-f", tmp_path / "text", "--json", "--no-cache", *args)
    assert r.returncode == 0, r.stderr.decode()
    return json.loads(r.stdout)["ppl"]


def test_exact_runs_are_those_of_the_floats(run, both, tmp_path):
    """With f32 activations both compute with the same numbers; where columns are reordered, sums are in another order."""
    case, packed, plain = both
    if "act" not in case:
        assert logits(run, packed, tmp_path / "packed", "--exact") == logits(run, plain, tmp_path / "plain", "--exact")
    want = perplexity(run, plain, tmp_path, "--exact")
    assert abs(perplexity(run, packed, tmp_path, "--exact") / want - 1) < 1e-5
    assert abs(perplexity(run, packed, tmp_path) / want - 1) < 0.02


def test_chunks_and_threads_change_nothing(run, both, tmp_path):
    _, packed, _ = both
    want = logits(run, packed, tmp_path / "0", "--threads", "1")
    assert logits(run, packed, tmp_path / "1", "--threads", "2", "--chunk", "3") == want

# ---- what other programs wrote and read

FIXTURES = sorted((ROOT / "tests/fixtures/packed").glob("*.safetensors"))


def parts(path):
    """Entries of a safetensors file, and its metadata."""
    raw = path.read_bytes()
    n = struct.unpack("<Q", raw[:8])[0]
    head = json.loads(raw[8:8 + n])
    meta = head.pop("__metadata__")
    return {k: (v["dtype"], v["shape"], raw[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]) for k, v in head.items()}, meta


@pytest.mark.parametrize("path", FIXTURES, ids=lambda p: p.stem)
def test_weights_are_those_of_the_packages(run, tmp_path, path):
    """Bit for bit what auto-gptq, autoawq, compressed-tensors and bitsandbytes make of the same bytes (tests/fixtures/make_packed.py)."""
    matrix, meta = parts(path)
    n = json.loads(meta["shape"])[0]
    entries = {k: v for k, v in hf_folder.tensors(n_embd=n, n_layer=1).items() if "o_proj" not in k}
    entries |= {"model.layers.0.self_attn.o_proj" + k[1:]: v for k, v in matrix.items()}
    cfg = {**hf_folder.config(n_embd=n, n_layer=1), "quantization_config": json.loads(meta["config"])}
    folder = hf_folder.write(tmp_path / "m", cfg=cfg, entries=entries)
    r = run("convert", folder, tmp_path / "m.gguf", "--type", "f32")
    assert r.returncode == 0, r.stderr.decode()
    kind, dims, raw = read(tmp_path / "m.gguf")[1]["blk.0.attn_output.weight"]
    raw = b"".join(struct.pack("<f", x + 0.0) for x in struct.unpack(f"<{n * n}f", raw))
    assert (kind, dims) == (0, [n, n]) and hashlib.sha256(raw).hexdigest() == meta["sha256"]


def test_there_are_fixtures():
    assert len(FIXTURES) == 17


# ---- orders of columns

def test_matrices_of_one_input_may_have_orders_of_their_own(run, tmp_path):
    """Those that differ from the first are laid out as floats: the same numbers, in sums of another order."""
    packed, plain = packed_folder.model("gptq-act", seed=lambda name, i: i, n_ctx=512)
    odd = packed_folder.write(tmp_path / "odd", "gptq-act", packed, n_ctx=512)
    floats = hf_folder.write(tmp_path / "plain", entries=plain, n_ctx=512)
    assert tensors(run_convert(run, odd, tmp_path / "a.gguf")) == tensors(run_convert(run, floats, tmp_path / "b.gguf"))
    want = perplexity(run, floats, tmp_path, "--exact")
    assert abs(perplexity(run, odd, tmp_path, "--exact") / want - 1) < 1e-5
    assert abs(perplexity(run, odd, tmp_path) / want - 1) < 0.02


def run_convert(run, folder, to):
    r = run("convert", folder, to, "--type", "f32")
    assert r.returncode == 0, r.stderr.decode()
    return to


# ---- what lies

def refused(run, folder, *words):
    r = run("info", "-m", folder)
    err = r.stderr.decode()
    assert r.returncode == 3 and r.stdout == b"" and err.startswith("lathe: ") and err.count("\n") == 1, (r.returncode, err)
    assert all(w in err for w in words), err


CONFIGS = {
    "6 bits": ("gptq", {"bits": 6}, "bits is 6"), "bits": ("gptq", {"bits": 3}, "bits is 3"), "8 bits": ("awq", {"bits": 8}, "bits is 8"), "group 0": ("gptq", {"group_size": 0}, "group_size is 0"),
    "group": ("gptq", {"group_size": 1.5}, "group_size is 1.5"), "huge": ("gptq", {"group_size": 1 << 30}, "group_size is 1073741824"),
    "format": ("gptq", {"checkpoint_format": "marlin"}, "checkpoint_format is \"marlin\""), "dynamic": ("gptq", {"dynamic": {"x": {"bits": 8}}}, "dynamic is"),
    "gemv": ("awq", {"version": "gemv"}, "version is \"gemv\""), "unknown": ("awq", {"foo": 3}, "foo is 3"),
    "float": ("ct", {"format": "float-quantized"}, "format is \"float-quantized\""), "no groups": ("ct", {"config_groups": {}}, "config_groups"),
    "no weights": ("ct", {"config_groups": {"g": {}}}, "g is {}"), "fp4": ("nf4", {"bnb_4bit_quant_type": "fp4"}, "bnb_4bit_quant_type is \"fp4\""),
    "int8": ("nf4", {"load_in_4bit": False, "load_in_8bit": True}, "load_in_"), "sparse": ("ct", {"sparsity_config": {"format": "x"}}, "sparsity_config"),
    "fp8": ("ct", {"config_groups": {"g": {"weights": {"num_bits": 8, "type": "float"}}}}, "type is \"float\""), "method": ("gptq", {"quant_method": 7}, "''"),
}


@pytest.mark.parametrize("case", CONFIGS)
def test_configurations_that_are_not_covered(run, tmp_path, case):
    kind, change, words = CONFIGS[case]
    refused(run, packed_folder.write(tmp_path, kind, change=change), "config.json", words)


O = "model.layers.0.self_attn.o_proj"


def index(values):
    return ("I32", [len(values)], struct.pack(f"<{len(values)}i", *values))


PARTS = {  # case of packed_folder, part, its new entry (None: without it), what is said
    "no integers": ("gptq", ".qweight", None, "has no integers"),
    "no scales": ("gptq", ".scales", None, "has no scales"),
    "no zeros": ("gptq", ".qzeros", None, "has no qzeros"),
    "awq no zeros": ("awq", ".qzeros", None, "has no qzeros"),
    "float scales": ("gptq", ".scales", ("F32", [2, 64], bytes(512)), "are F32"),
    "short scales": ("gptq", ".scales", ("F16", [1, 64], bytes(128)), "another shape"),
    "turned scales": ("gptq", ".scales", ("F16", [64, 2], bytes(256)), "another shape"),
    "short zeros": ("gptq", ".qzeros", ("I32", [2, 7], bytes(56)), "another shape"),
    "bytes": ("gptq", ".qweight", ("U8", [8, 64], bytes(512)), "no matrix of packed integers"),
    "vector": ("gptq", ".qweight", ("I32", [512], bytes(2048)), "no matrix of packed integers"),
    "wide": ("gptq", ".qweight", ("I32", [8, 63], bytes(2016)), "no matrix of packed integers"),
    "empty": ("gptq", ".qweight", ("I32", [0, 64], b""), "no matrix of packed integers"),
    "group past the end": ("gptq-act", ".g_idx", index([0] * 32 + [2] * 32), "has 2 at column 32"),
    "negative group": ("gptq-act", ".g_idx", index([0] * 32 + [-1] * 32), "has -1 at column 32"),
    "crowded group": ("gptq-act", ".g_idx", index([0] * 33 + [1] * 31), "has 0 at column 32"),
    "short g_idx": ("gptq-act", ".g_idx", index([0] * 32), "g_idx"),
    "shape": ("ct", ".weight_shape", ("I64", [2], struct.pack("<2q", 64, 65)), "weight_shape"),
    "no shape": ("ct", ".weight_shape", None, "weight_shape"),
    "zero of bytes": ("ct-int8", ".weight_zero_point", ("I8", [64, 1], bytes(64)), "zero points of integers of 8 bits"),
    "zeros of bytes": ("gptq-8", ".qzeros", ("I32", [2, 16], bytes([127] * 127 + [126])), "zero points of integers of 8 bits"),
    "zeros of nibbles": ("gptq-8", ".qzeros", ("I32", [2, 8], bytes(64)), "another shape"),
    "nibbles": ("gptq-8", ".qweight", ("I32", [8, 64], bytes(2048)), "another shape"),
    "shape of bytes": ("ct-8", ".weight_shape", ("I64", [2], struct.pack("<2q", 64, 128)), "weight_shape"),
    "state": ("nf4", ".weight.quant_state.bitsandbytes__nf4", ("U8", [4], b"{}  "), "quant_state"),
    "no json": ("nf4", ".weight.quant_state.bitsandbytes__nf4", ("U8", [4], b"\xff\0{}"), "no JSON"),
    "no state": ("nf4", ".weight.quant_state.bitsandbytes__nf4", None, "quant_state"),
    "map": ("nf4", ".weight.quant_map", ("F32", [16], bytes(64)), "quant_map"),
    "absmax": ("nf4", ".weight.absmax", ("F32", [63], bytes(252)), "another shape"),
    "nested": ("nf4-double", ".weight.nested_absmax", None, "another shape"),
    "fp4": ("nf4", ".weight.quant_state.bitsandbytes__fp4", ("U8", [4], b"{}  "), "nothing that a"),
}


@pytest.mark.parametrize("case", PARTS)
def test_parts_that_lie(run, tmp_path, case):
    kind, part, entry, words = PARTS[case]
    entries = dict(packed_folder.model(kind)[0])
    entries.pop(O + part, None)
    if entry:
        entries[O + part] = entry
    refused(run, packed_folder.write(tmp_path, kind, entries), "self_attn.o_proj", words)


def test_groups_that_no_block_divides(run, tmp_path):
    case = packed_folder.CASES["gptq"]
    entries = dict(packed_folder.model("gptq")[0])
    for k in [k for k in entries if k.endswith(("scales", "qzeros", "g_idx"))]:
        dtype, shape, raw = entries[k]
        rows = 4 if "down_proj" not in k else 6
        entries[k] = (dtype, [rows, *shape[1:]], (raw * 3)[:len(raw) // shape[0] * rows]) if not k.endswith("g_idx") else entries[k]
        if k.endswith("g_idx"):
            del entries[k]
    assert case[1] == 32
    refused(run, packed_folder.write(tmp_path, "gptq", entries, change={"group_size": 16}), "groups of 16")


def test_gguf_has_no_such_types(run, tmp_path):
    folder = packed_folder.write(tmp_path / "m", "gptq")
    r = run("convert", folder, tmp_path / "m.gguf")
    assert r.returncode == 3 and b"INT4_32, which GGUF does not have" in r.stderr and not (tmp_path / "m.gguf").exists()
    assert run("quantize", folder, tmp_path / "q.gguf", "--type", "q8_0").returncode == 0
    r = run("quantize", folder, tmp_path / "i.gguf", "--type", "int4_32")
    assert r.returncode != 0 and b"int4_32" in r.stderr.lower() and not (tmp_path / "i.gguf").exists()
