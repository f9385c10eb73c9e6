"""lathe quantize to folders with a calibration text: GPTQ and AWQ in the layouts that models of those names are published in."""
import json, struct

import pytest

import gguf_file
import hf_folder
import tiny_model
from test_calibrate import CALIB, divergence, text  # noqa: F401  (a fixture)
from test_packed_folders import parts
from test_quantize_folder import floats, quantize

LAYOUTS = {"gptq": ("--group", "32"), "awq": ("--layout", "awq", "--group", "32"), "ct": ("--layout", "compressed-tensors", "--group", "64"),
           "ct_sym": ("--layout", "compressed-tensors", "--group", "32", "--symmetric"), "rows": ("--group", "-1")}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Norms whose elements differ, in bf16: what AWQ makes of them is rounded."""
    return hf_folder.write(tmp_path_factory.mktemp("hf") / "in", norms="BF16", n_embd=128)


@pytest.mark.parametrize("method", ["gptq", "awq"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_products_are_closer(run, source, text, tmp_path, layout, method):  # noqa: F811
    report = quantize(run, source, tmp_path / "out", "int4", *LAYOUTS[layout], "--calib", text, *CALIB, "--method", method, "--measure-output")
    fallbacks = 2 * (layout == "ct")  # groups of 64 do not divide the columns of down
    assert report["calibration_tokens"] == 1024 and report["compared"] == (14 if method == "gptq" else 8) - fallbacks
    assert report["fallbacks"] == fallbacks
    assert report["better"] == report["compared"] or method == "awq" and report["better"] >= 4  # inputs of a random model are all alike
    quantize(run, source, tmp_path / "rounded", "int4", *LAYOUTS[layout])
    a, b = (parts(tmp_path / f / "model.safetensors")[0] for f in ("out", "rounded"))
    assert a.keys() == b.keys()
    for name in a:
        if name.endswith((".qweight", ".weight_packed")):
            assert a[name] != b[name], name
    r = run("run", "-m", tmp_path / "out", "--raw", "-p", "the in", "-n", "3", "--temp", "0", "--no-cache")
    assert r.returncode == 0, r.stderr.decode()


def test_int8_by_gptq(run, source, text, tmp_path):  # noqa: F811
    report = quantize(run, source, tmp_path / "out", "int8", "--calib", text, *CALIB, "--method", "gptq", "--measure-output")
    assert report["better"] == report["compared"] == 14 and 0 < report["relative_error"] < 0.015


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_nf4(run, source, text, tmp_path, method):  # noqa: F811
    """Closer products, with the scales' own scales; the same bytes on every number of threads and instruction set."""
    report = quantize(run, source, tmp_path / "out", "nf4", "--calib", text, *CALIB, "--method", method, "--measure-output")
    assert report["fallbacks"] == 2  # 96 columns of down
    assert report["compared"] == (12 if method == "gptq" else 6) and report["better"] >= (report["compared"] if method == "gptq" else 4)
    assert method == "awq" or 0.08 < report["relative_error"] < 0.15
    entries = parts(tmp_path / "out/model.safetensors")[0]
    assert entries["model.layers.0.self_attn.q_proj.weight.absmax"][0] == "U8"
    for threads, isa in ((1, ""), (2, "c"), (3, "avx2")):
        quantize(run, source, tmp_path / f"o{isa}", "nf4", "--calib", text, *CALIB, "--method", method, "-t", str(threads), env={"LATHE_CPU": isa} if isa else None)
        assert (tmp_path / f"o{isa}/model.safetensors").read_bytes() == (tmp_path / "out/model.safetensors").read_bytes()


def product(w, x):
    return [sum(a * b for a, b in zip(w[i:i + len(x)], x)) for i in range(0, len(w), len(x))]


def test_awq_scales_are_folded(run, source, text, tmp_path):  # noqa: F811
    """In 8 bits nothing but the scales moves far: norms times the columns behind them are what they were, and so is o times v."""
    quantize(run, source, tmp_path / "out", "int8", "--calib", text, *CALIB, "--method", "awq")
    was, now = floats(run, source, tmp_path / "a.gguf"), floats(run, tmp_path / "out", tmp_path / "b.gguf")
    moved = 0
    for norm, names in (("attn_norm", ("attn_q", "attn_k", "attn_v")), ("ffn_norm", ("ffn_gate", "ffn_up"))):
        a, b = was[f"blk.1.{norm}.weight"], now[f"blk.1.{norm}.weight"]
        moved += a != b
        for name in names:
            x, y = product(was[f"blk.1.{name}.weight"], a), product(now[f"blk.1.{name}.weight"], b)
            if name in ("attn_v", "ffn_up"):  # their rows are scaled for what reads them
                continue
            size = max(map(abs, x))
            assert all(abs(p - q) < 0.02 * size for p, q in zip(x, y)), name
    assert moved


@pytest.mark.parametrize("method", ["round", "gptq", "awq"])
def test_same_bytes(run, source, text, tmp_path, method):  # noqa: F811
    want = None
    for threads, isa in ((1, ""), (3, ""), (2, "c"), (2, "avx2")):
        out = tmp_path / f"{threads}{isa}"
        quantize(run, source, out, "int4", "--group", "32", "--calib", text, *CALIB, "--method", method, "-t", str(threads),
                 env={"LATHE_CPU": isa} if isa else None)
        got = (out / "model.safetensors").read_bytes()
        assert want in (None, got), (threads, isa)
        want = got


@pytest.mark.parametrize("kind", [("int4", "--group", "32"), ("int8",), ("nf4",)], ids=["int4", "int8", "nf4"])
def test_importances(run, source, text, tmp_path, kind):  # noqa: F811
    """Those of a file are those of the text that it was made of, and say more than none."""
    quantize(run, source, tmp_path / "a", *kind, "--calib", text, *CALIB, "--save-imatrix", tmp_path / "im.gguf")
    quantize(run, source, tmp_path / "b", *kind, "--imatrix", tmp_path / "im.gguf")
    quantize(run, source, tmp_path / "c", *kind)
    a, b, c = ((tmp_path / f"{n}/model.safetensors").read_bytes() for n in "abc")
    assert a == b and a != c and len(a) == len(c)


def test_rows_stay_in_their_places(run, source, text, tmp_path):  # noqa: F811
    """In 8 bits nothing moves far: queries and keys are written as the folder has them, in rotary halves."""
    report = quantize(run, source, tmp_path / "out", "int8", "--calib", text, *CALIB, "--method", "gptq")
    assert report["worst_error"] < 0.02


REFUSED = {"no text": (("int4", "--method", "gptq"), "needs a calibration text"),
           "order of awq": (("int4", "--layout", "awq", "--method", "gptq", "--act-order"), "kept by layout gptq"),
           "order by rounding": (("int4", "--act-order"), "is made by method gptq"),
           "order of a row": (("int4", "--act-order", "--method", "gptq", "--group", "-1"), "no order of columns counts")}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(run, source, tmp_path, case):
    args, words = REFUSED[case]
    r = run("quantize", source, tmp_path / "out", "--type", *args)
    assert r.returncode == 2 and words in r.stderr.decode() and not (tmp_path / "out/config.json").exists(), r.stderr


def test_act_order(run, source, text, tmp_path):  # noqa: F811
    """Groups are of columns sorted by their inputs, the same for all matrices that read one input, and closer than without."""
    quantize(run, source, tmp_path / "im", "int4", "--group", "32", "--calib", text, *CALIB, "--save-imatrix", tmp_path / "im.gguf")
    report = quantize(run, source, tmp_path / "out", "int4", "--group", "32", "--calib", text, *CALIB, "--method", "gptq", "--act-order", "--measure-output")
    assert report["better"] == report["compared"] == 14
    assert json.loads((tmp_path / "out/config.json").read_text())["quantization_config"]["desc_act"] is True
    entries, _ = parts(tmp_path / "out/model.safetensors")
    index = {n: struct.unpack(f"<{len(v[2]) // 4}i", v[2]) for n, v in entries.items() if n.endswith(".g_idx")}
    assert len(index) == 14
    for layer in "01":
        def of(part):
            return index[f"model.layers.{layer}.{part}_proj.g_idx"]

        assert of("self_attn.q") == of("self_attn.k") == of("self_attn.v") and of("mlp.gate") == of("mlp.up")
        for part in ("self_attn.q", "mlp.down"):
            g = of(part)
            assert list(g) != sorted(g) and all(g.count(k) == 32 for k in set(g))
    square = gguf_file.read(tmp_path / "im.gguf")[1]["blk.0.attn_q.weight.in_sum2"]
    square = struct.unpack("<128f", square[2])
    ranked = sorted(zip(index["model.layers.0.self_attn.q_proj.g_idx"], square))
    for (a, x), (b, y) in zip(ranked, ranked[1:]):
        assert a == b or min(v for g, v in ranked if g == a) >= max(v for g, v in ranked if g == b) * 0.9999
    r = run("run", "-m", tmp_path / "out", "--raw", "-p", "the in", "-n", "3", "--temp", "0", "--no-cache")
    assert r.returncode == 0, r.stderr.decode()


def of_family(path, family):
    """The tiny model as a class whose norms are written less one, or whose matrices are fused."""
    entries, cfg = dict(hf_folder.tensors(norms="BF16", n_embd=128)), hf_folder.config(n_embd=128)
    for i in "01":
        at = f"model.layers.{i}."
        if family == "Phi3ForCausalLM":
            for parts_, whole in ((("self_attn.q", "self_attn.k", "self_attn.v"), "self_attn.qkv"), (("mlp.gate", "mlp.up"), "mlp.gate_up")):
                fused = [entries.pop(f"{at}{p}_proj.weight") for p in parts_]
                entries[f"{at}{whole}_proj.weight"] = ("F32", [sum(e[1][0] for e in fused), 128], b"".join(e[2] for e in fused))
            continue
        entries[at + "pre_feedforward_layernorm.weight"] = entries[at + "post_attention_layernorm.weight"]
        entries[at + "post_feedforward_layernorm.weight"] = entries[at + "post_attention_layernorm.weight"]
        for n in "qk":
            entries[f"{at}self_attn.{n}_norm.weight"] = ("BF16", [32], tiny_model.encode([0.01 * k for k in range(32)], "BF16"))
    if family == "Gemma3ForCausalLM":
        cfg.pop("hidden_act")
        cfg |= {"hidden_activation": "gelu_pytorch_tanh", "head_dim": 32, "query_pre_attn_scalar": 32, "sliding_window": 64}
        for name, (dtype, shape, raw) in entries.items():
            if name.endswith("norm.weight") and shape == [128]:  # some elements are small: near -1 bf16 has few digits for them
                entries[name] = (dtype, shape, tiny_model.encode([(-0.99, 0.0, 0.5, -0.3)[k % 4] for k in range(128)], "BF16"))
    return hf_folder.write(path, entries=entries, cfg=cfg | {"architectures": [family]})


@pytest.mark.parametrize("method", ["gptq", "awq"])
@pytest.mark.parametrize("family", ["Gemma3ForCausalLM", "Phi3ForCausalLM"])
def test_families(run, text, tmp_path, family, method):  # noqa: F811
    """In 8 bits the model is nearly what it was, norms that are written less one and fused matrices included."""
    folder = of_family(tmp_path / "in", family)
    report = quantize(run, folder, tmp_path / "out", "int8", "--calib", text, *CALIB, "--method", method, "--measure-output")
    assert report["compared"] == (14 if method == "gptq" else 8)
    quantize(run, folder, tmp_path / "rounded", "int8")
    assert divergence(run, tmp_path / "out", folder, text) < divergence(run, tmp_path / "rounded", folder, text) < 0.02
    a, b = (parts(m / "model.safetensors")[0] for m in (folder, tmp_path / "out"))
    norms = [n for n in a if "norm" in n and a[n] != b[n]]
    assert norms if method == "awq" else not norms
