"""lathe quantize with a calibration text: importance matrices, GPTQ, the same bytes everywhere, every architecture, and what it refuses."""
import json, math, struct

import pytest

import gguf_file
import hf_folder
import tiny_model
from conftest import ROOT

TEXT = "the hello in you and the end of it, in the beginning was the word; " * 60
CALIB = ("--calib-ctx", "64", "--calib-tokens", "1024")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "calib.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    path = tmp_path_factory.mktemp("tiny") / "m.gguf"
    tiny_model.write(str(path), "F32")
    return path


def quantize(run, source, target, kind, *args, env=None):
    r = run("quantize", source, target, "--type", kind, "--json", *args, env=env)
    assert r.returncode == 0, r.stderr.decode()
    return json.loads(r.stdout)


def floats(tensor):
    return struct.unpack(f"<{len(tensor[2]) // 4}f", tensor[2])


def ids_of(run, model, text):
    r = run("tokenize", "-m", model, "-p", text.read_text(), "--ids")
    assert r.returncode == 0, r.stderr.decode()
    return [int(i) for i in r.stdout.split()]


def test_importance_is_that_of_the_inputs(run, tiny, text, tmp_path):
    """What the first layer reads can be computed by hand: the rows of the embedding, normalized."""
    quantize(run, tiny, tmp_path / "o.gguf", "q4_0", "--calib", text, *CALIB, "--save-imatrix", tmp_path / "im.gguf")
    meta, tensors = gguf_file.read(tmp_path / "im.gguf")
    _, weights = gguf_file.read(tiny)
    assert meta["general.type"] == "imatrix" and meta["imatrix.chunk_count"] == 16 and meta["imatrix.chunk_size"] == 64
    assert meta["imatrix.datasets"] == [str(text)]
    assert len(tensors) == 2 * 2 * 7
    ids = ids_of(run, tiny, text)
    n_chunk = len(ids) // 64
    taken = [t for i in range(16) for t in ids[i * n_chunk // 16 * 64:][:64]]
    embd, norm = floats(weights["token_embd.weight"]), floats(weights["blk.0.attn_norm.weight"])
    want = [0.0] * 64
    for t in taken:
        row = embd[t * 64:t * 64 + 64]
        scale = 1 / math.sqrt(sum(v * v for v in row) / 64 + 1e-5)
        for i, v in enumerate(row):
            want[i] += (v * scale * norm[i]) ** 2
    for name in ("attn_q", "attn_k", "attn_v"):
        assert floats(tensors[f"blk.0.{name}.weight.counts"]) == (1024.0,)
        got = floats(tensors[f"blk.0.{name}.weight.in_sum2"])
        # the rows of the embedding went through a file of f16, and were loaded in 8 bits
        assert all(abs(g - w) < 0.03 * w for g, w in zip(got, want)), name
    assert tensors["blk.1.ffn_down.weight.in_sum2"][1] == [96, 1]


def test_file_of_importances(run, tiny, text, tmp_path):
    """Read again it gives the bytes that the text gives; they are not those of plain rounding."""
    quantize(run, tiny, tmp_path / "a.gguf", "q4_0", "--calib", text, *CALIB, "--save-imatrix", tmp_path / "im.gguf")
    quantize(run, tiny, tmp_path / "b.gguf", "q4_0", "--imatrix", tmp_path / "im.gguf")
    quantize(run, tiny, tmp_path / "c.gguf", "q4_0")
    a, b, c = ((tmp_path / f"{n}.gguf").read_bytes() for n in "abc")
    assert a == b and a != c and len(a) == len(c)


@pytest.mark.parametrize("method", ["gptq", "awq"])
@pytest.mark.parametrize("kind", ["q4_0", "q2_k"])
def test_products_are_closer(run, text, tmp_path, kind, method):
    tiny_model.write(str(tmp_path / "m.gguf"), "F32", n_embd=256)
    report = quantize(run, tmp_path / "m.gguf", tmp_path / "o.gguf", kind, "--calib", text, *CALIB, "--method", method, "--measure-output")
    assert report["calibration_tokens"] == 1024 and report["compared"] == (14 if method == "gptq" else 8)
    assert report["better"] == report["compared"] or method == "awq" and report["better"] >= 4  # inputs of a random model are all alike
    quantize(run, tmp_path / "m.gguf", tmp_path / "r.gguf", kind)
    _, a = gguf_file.read(tmp_path / "o.gguf")
    _, b = gguf_file.read(tmp_path / "r.gguf")
    for name, t in a.items():  # only what layers multiply with differs, and all of it
        if len(t[1]) > 1 or method == "gptq":
            assert (t[2] != b[name][2]) == (name.startswith("blk.") and len(t[1]) > 1), name


@pytest.mark.parametrize("method", ["round", "gptq", "awq"])
def test_same_bytes(run, tiny, text, tmp_path, method):
    want = None
    for threads, isa in ((1, ""), (3, ""), (2, "c"), (2, "avx2")):
        quantize(run, tiny, tmp_path / "o.gguf", "q4_0", "--calib", text, *CALIB, "--method", method, "-t", str(threads), env={"LATHE_CPU": isa} if isa else None)
        got = (tmp_path / "o.gguf").read_bytes()
        assert want in (None, got), (threads, isa)
        want = got
    assert not [p for p in tmp_path.iterdir() if p.name != "o.gguf"]


def test_rows_stay_in_their_places(run, text, tmp_path):
    """In 8 bits nothing moves far: a folder whose rotary halves become pairs."""
    hf_folder.write(tmp_path / "hf")
    report = quantize(run, tmp_path / "hf", tmp_path / "o.gguf", "q8_0", "--calib", text, *CALIB, "--method", "gptq")
    assert report["worst_error"] < 0.02
    r = run("run", "-m", tmp_path / "o.gguf", "--raw", "-p", "the hello", "-n", "4", "--temp", "0", "--no-cache")
    assert r.returncode == 0, r.stderr.decode()


def as_family(path, family):
    """The tiny model as another architecture has it: other keys, rotary halves, norms and biases, fused matrices, experts."""
    meta, tensors = tiny_model.model()
    arch = {"moe": "llama"}.get(family, family)
    meta = {k.replace("llama.", f"{arch}.", 1) if k.startswith("llama.") else k: v for k, v in meta.items()}
    meta["general.architecture"] = arch
    by_name = {n: (shape, v) for n, shape, v in tensors}
    for i in range(2):
        def take(name):
            return by_name.pop(f"blk.{i}.{name}.weight")

        def put(name, shape, values):
            by_name[f"blk.{i}.{name}"] = (shape, values)

        if family == "qwen2":
            for name, n in (("attn_q", 64), ("attn_k", 32), ("attn_v", 32)):
                put(f"{name}.bias", [n], [0.1 * (k % 7 - 3) for k in range(n)])
        if family == "qwen3":
            put("attn_q_norm.weight", [16], [1.0 + 0.01 * k for k in range(16)])
            put("attn_k_norm.weight", [16], [1.0 - 0.01 * k for k in range(16)])
        if family == "phi3":
            put("attn_qkv.weight", [64, 128], sum((take(n)[1] for n in ("attn_q", "attn_k", "attn_v")), []))
            put("ffn_up.weight", [64, 192], sum((take(n)[1] for n in ("ffn_gate", "ffn_up")), []))
        if family == "moe":
            put("ffn_gate_inp.weight", [64, 4], [0.05 * (k % 11 - 5) for k in range(256)])
            for name in ("gate", "up", "down"):
                shape, values = take(f"ffn_{name}")
                put(f"ffn_{name}_exps.weight", [*shape, 4], [v * (1 + 0.2 * e) for e in range(4) for v in values])
    if family == "moe":
        meta |= {"llama.expert_count": 4, "llama.expert_used_count": 2}
    infos, data = [], b""
    for name, (shape, values) in by_name.items():
        raw = tiny_model.encode(values, "F32")
        infos.append((name, shape, 0, len(raw)))
        data += raw + b"\0" * (-len(raw) % 32)
    path.write_bytes(tiny_model.head(meta, infos) + data)


def divergence(run, model, reference, text):
    r = run("eval", "-m", model, "--ref", reference, "-f", text, "--ctx", "64", "--tokens", "512", "--json", "--no-cache")
    assert r.returncode == 0, r.stderr.decode()
    return json.loads(r.stdout)["all"]["kl_mean"]["value"]


FAMILIES = ["llama", "qwen2", "qwen3", "phi3", "moe"]


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_every_family(run, text, tmp_path, family):
    """In 8 bits nothing moves far: rotary halves, fused matrices and experts find their rows again."""
    as_family(tmp_path / "m.gguf", family)
    report = quantize(run, tmp_path / "m.gguf", tmp_path / "o.gguf", "q8_0", "--calib", text, *CALIB, "--method", "gptq", "--measure-output")
    assert report["worst_error"] < 0.02, report["worst_tensor"]
    assert report["better"] == report["compared"] == (2 * (4 + 12) if family == "moe" else 14)


@pytest.mark.parametrize("family", FAMILIES)
def test_scales_are_folded(run, text, tmp_path, family):
    """In 8 bits a model whose scales moved answers as it did, and its norms are others."""
    as_family(tmp_path / "m.gguf", family)
    quantize(run, tmp_path / "m.gguf", tmp_path / "o.gguf", "q8_0", "--calib", text, *CALIB, "--method", "awq")
    quantize(run, tmp_path / "m.gguf", tmp_path / "r.gguf", "q8_0")
    _, a = gguf_file.read(tmp_path / "o.gguf")
    _, b = gguf_file.read(tmp_path / "m.gguf")
    assert [n for n in a if n.endswith("attn_norm.weight") and a[n][2] != b[n][2]]
    assert divergence(run, tmp_path / "o.gguf", tmp_path / "m.gguf", text) < 2 * divergence(run, tmp_path / "r.gguf", tmp_path / "m.gguf", text)


def q8_0_rows(tensor, n_col):
    """Rows of blocks of a half-precision scale and 32 bytes."""
    blocks = struct.iter_unpack("<e32b", tensor[2])
    flat = [d * q for d, *qs in blocks for q in qs]
    return [flat[i:i + n_col] for i in range(0, len(flat), n_col)]


def test_a_type_that_is_the_models_own_is_scaled_too(run, text, tmp_path):
    """Values stay in 8 bits while queries and keys, which read the same norm, go to 4 and get scales."""
    tiny_model.write(str(tmp_path / "m.gguf"), "Q8_0")
    quantize(run, tmp_path / "m.gguf", tmp_path / "o.gguf", "q4_0", "--tensor-type", "attn_v=q8_0", "--calib", text, *CALIB, "--method", "awq")
    _, a = gguf_file.read(tmp_path / "o.gguf")
    _, b = gguf_file.read(tmp_path / "m.gguf")
    moved = 0
    for n in [n for n in b if n.endswith("attn_norm.weight")]:
        was, now, name = floats(b[n]), floats(a[n]), n.replace("attn_norm", "attn_v")
        moved += was != now
        assert a[name][1] == b[name][1]
        v, w = q8_0_rows(b[name], len(was)), q8_0_rows(a[name], len(was))
        for r, q in zip(v, w):  # rows have scales too, of the columns that they feed
            r, q = [x * y for x, y in zip(r, was)], [x * y for x, y in zip(q, now)]
            factor = sum(x * y for x, y in zip(r, q)) / sum(y * y for y in q)
            assert sum((x - factor * y) ** 2 for x, y in zip(r, q)) < 1e-3 * sum(x * x for x in r)
    assert moved


def test_refusals(run, tiny, text, tmp_path):
    def refuse(code, words, *args):
        r = run("quantize", tiny, tmp_path / "o.gguf", "--type", "q4_0", *args)
        err = r.stderr.decode(errors="replace")
        assert r.returncode == code and words in err and err.count("\n") == 1, (r.returncode, err)
        assert not (tmp_path / "o.gguf").exists()

    (tmp_path / "short.txt").write_text("hello")
    refuse(2, "gptq needs a calibration text", "--method", "gptq")
    refuse(3, "one chunk needs 256", "--calib", tmp_path / "short.txt")
    refuse(3, "nothere.txt", "--calib", tmp_path / "nothere.txt")
    refuse(2, "not from both", "--calib", text, "--imatrix", tmp_path / "im.gguf")
    refuse(3, "is no importance matrix", "--imatrix", tiny)
    refuse(3, "short.txt", "--imatrix", tmp_path / "short.txt")
    refuse(2, "by method round", "--save-imatrix", tmp_path / "im.gguf")
    refuse(2, "by method round", "--calib", text, "--method", "gptq", "--save-imatrix", tmp_path / "im.gguf")


def test_weights_that_are_no_numbers(run, tiny, text, tmp_path):
    data = bytearray(tiny.read_bytes())
    _, tensors = gguf_file.read(tiny)
    at = data.find(tensors["blk.1.ffn_up.weight"][2][:64])
    data[at + 4 * 70:at + 4 * 71] = struct.pack("<f", math.nan)
    (tmp_path / "nan.gguf").write_bytes(data)
    for method in ("round", "gptq", "awq"):
        r = run("quantize", tmp_path / "nan.gguf", tmp_path / "o.gguf", "--type", "q4_0", "--calib", text, *CALIB, "--method", method)
        assert r.returncode != 0 and b"blk.1.ffn_up.weight has a weight that is no finite number, in row 1, column 6" in r.stderr, r.stderr
        assert not (tmp_path / "o.gguf").exists()
