"""lathe quantize to folders: each layout means what the report says, is read back as that, and nothing is lost on the way."""
import json, math, struct

import pytest

import hf_folder
import packed_folder
from gguf_file import read
from test_packed_folders import parts

CASES = {"gptq": ("int4", "--group", "32"), "gptq_sym": ("int4", "--group", "64", "--symmetric"), "gptq_rows": ("int4", "--group", "-1"),
         "awq": ("int4", "--layout", "awq", "--group", "32"), "ct": ("int4", "--layout", "compressed-tensors", "--group", "32"),
         "ct_sym": ("int4", "--layout", "compressed-tensors", "--group", "32", "--symmetric"), "int8": ("int8",), "nf4": ("nf4",)}
BOUND = {"gptq": 0.083, "gptq_sym": 0.11, "gptq_rows": 0.11, "awq": 0.083, "ct": 0.083, "ct_sym": 0.1, "int8": 0.008, "nf4": 0.1}


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return hf_folder.write(tmp_path_factory.mktemp("hf") / "in")


def quantize(run, source, to, kind, *args, env=None):
    r = run("quantize", source, to, "--type", kind, "--json", *args, env=env)
    assert r.returncode == 0, r.stderr.decode()
    return json.loads(r.stdout)


def floats(run, model, to):
    r = run("convert", model, to, "--type", "f32")
    assert r.returncode == 0, r.stderr.decode()
    return {n: struct.unpack(f"<{len(raw) // 4}f", raw) for n, (_, _, raw) in read(to)[1].items()}


@pytest.mark.parametrize("case", CASES)
def test_what_is_written_is_near_and_as_near_as_it_says(run, source, tmp_path, case):
    report = quantize(run, source, tmp_path / "out", *CASES[case])
    want, got = floats(run, source, tmp_path / "a.gguf"), floats(run, tmp_path / "out", tmp_path / "b.gguf")
    assert want.keys() == got.keys()
    error = value = 0.0
    for name in want:
        if want[name] == got[name]:
            continue
        assert name.startswith("blk.") and "norm" not in name
        error += sum((a - b) ** 2 for a, b in zip(want[name], got[name]))
        value += sum(a * a for a in want[name])
    assert 0 < report["relative_error"] < BOUND[case]
    assert math.sqrt(error / value) == pytest.approx(report["relative_error"], rel=1e-4)
    assert report["tensors"] == 14 and report["fallbacks"] == (2 if case in ("gptq_sym", "nf4") else 0)
    r = run("run", "-m", tmp_path / "out", "--raw", "-p", "the in", "-n", "3", "--temp", "0", "--no-cache")
    assert r.returncode == 0, r.stderr.decode()


def test_what_the_configuration_says(run, source, tmp_path):
    """Products of integers are said (W8A8), and a list of modules that others leave alone has the head in it."""
    def config(case):
        quantize(run, source, tmp_path / case, *CASES[case])
        return json.loads((tmp_path / case / "config.json").read_text())["quantization_config"]

    ct, int8, nf4 = config("ct"), config("int8"), config("nf4")
    group, bytes8 = ct["config_groups"]["group_0"], int8["config_groups"]["group_0"]
    assert group["weights"] == {"num_bits": 4, "type": "int", "symmetric": False, "strategy": "group", "group_size": 32, "dynamic": False}
    assert group["input_activations"] is None and group["format"] == ct["format"] == "pack-quantized" and ct["ignore"] == ["lm_head"]
    assert bytes8["input_activations"] == {"num_bits": 8, "type": "int", "symmetric": True, "strategy": "token", "dynamic": True}
    assert bytes8["format"] == int8["format"] == "int-quantized" and bytes8["weights"]["strategy"] == "channel"
    assert nf4["llm_int8_skip_modules"] == [f"model.layers.{i}.mlp.down_proj" for i in range(2)] + ["lm_head"]


def words(raw):
    return struct.unpack(f"<{len(raw) // 4}I", raw)


def test_gptq_by_hand(run, source, tmp_path):
    """Integers, zero points less one and scales lie where GPTQ's readers look for them."""
    quantize(run, source, tmp_path / "out", *CASES["gptq"])
    entries, _ = parts(tmp_path / "out/model.safetensors")
    name = "model.layers.1.mlp.up_proj"
    q, z, s, g = (entries[f"{name}.{end}"] for end in ("qweight", "qzeros", "scales", "g_idx"))
    assert [x[0] for x in (q, z, s, g)] == ["I32", "I32", "F16", "I32"] and [x[1] for x in (q, z, s, g)] == [[8, 96], [2, 12], [2, 96], [64]]
    assert list(words(g[2])) == [k // 32 for k in range(64)]
    q, z, s = words(q[2]), words(z[2]), struct.unpack("<192e", s[2])
    got = floats(run, tmp_path / "out", tmp_path / "m.gguf")["blk.1.ffn_up.weight"]
    for row in range(96):
        for k in range(64):
            zero = (z[k // 32 * 12 + row // 8] >> 4 * (row % 8) & 15) + 1
            assert got[row * 64 + k] == s[k // 32 * 96 + row] * ((q[k // 8 * 96 + row] >> 4 * (k % 8) & 15) - zero)


def test_the_rest_of_the_folder_goes_along(run, source, tmp_path):
    quantize(run, source, tmp_path / "out", *CASES["awq"])
    for name in ("tokenizer.json", "tokenizer_config.json", "generation_config.json"):
        assert (tmp_path / "out" / name).read_bytes() == (source / name).read_bytes()
    before, after = (json.loads((p / "config.json").read_text()) for p in (source, tmp_path / "out"))
    assert after.pop("quantization_config")["quant_method"] == "awq" and after == before
    plain, packed = parts(source / "model.safetensors")[0], parts(tmp_path / "out/model.safetensors")[0]
    assert all(packed[k] == v for k, v in plain.items() if "_proj" not in k)


def test_threads_change_nothing(run, source, tmp_path):
    for n in (1, 2):
        quantize(run, source, tmp_path / str(n), *CASES["gptq"], "--threads", n)
    assert (tmp_path / "1/model.safetensors").read_bytes() == (tmp_path / "2/model.safetensors").read_bytes()


def test_shards_become_one(run, source, tmp_path):
    shards = hf_folder.write(tmp_path / "shards", shards=3)
    quantize(run, shards, tmp_path / "a", *CASES["ct"])
    quantize(run, source, tmp_path / "b", *CASES["ct"])
    assert {k: v for k, v in parts(tmp_path / "a/model.safetensors")[0].items()} == parts(tmp_path / "b/model.safetensors")[0]


REFUSED = {"layout": (("int4", "--layout", "bitsandbytes"), 2, "does not hold int4"), "group": (("int4", "--group", "48"), 2, "groups of 48"),
           "nf4 group": (("nf4", "--group", "64"), 2, "no groups to choose"), "calibration": (("int4", "--tensor-type", "attn=q8_0"), 2, "leave --pure"),
           "nothing fits": (("int4", "--group", "1024"), 3, "no matrix")}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(run, source, tmp_path, case):
    args, code, words_ = REFUSED[case]
    r = run("quantize", source, tmp_path / "out", "--type", *args)
    assert r.returncode == code and words_ in r.stderr.decode() and not (tmp_path / "out/config.json").exists(), r.stderr


def test_a_model_is_not_overwritten(run, source, tmp_path, tiny):
    for target, words_ in ((source, "has a model already"), (tiny, "cannot make the folder")):
        r = run("quantize", source, target, "--type", "int4")
        assert r.returncode != 0 and words_ in r.stderr.decode() or b"no folder" in r.stderr, r.stderr
    r = run("quantize", tiny, tmp_path / "out", "--type", "int4")
    assert r.returncode == 3 and b"no folder of safetensors" in r.stderr


def test_weights_that_are_no_numbers(run, tmp_path):
    entries = dict(hf_folder.tensors())
    name = "model.layers.0.self_attn.o_proj.weight"
    dtype, shape, raw = entries[name]
    entries[name] = (dtype, shape, raw[:260] + struct.pack("<f", math.nan) + raw[264:])
    folder = hf_folder.write(tmp_path / "in", entries=entries)
    r = run("quantize", folder, tmp_path / "out", "--type", "int4", "--group", "32")
    assert r.returncode != 0 and b"no finite number, in row 1, column 1" in r.stderr and not (tmp_path / "out/model.safetensors").exists()


def test_quantized_folders_are_no_source(run, tmp_path):
    """Their matrices are no floats: nothing is left to quantize."""
    folder = packed_folder.write(tmp_path / "in", "gptq")
    r = run("quantize", folder, tmp_path / "out", "--type", "int4", "--group", "32")
    assert r.returncode == 3 and b"no matrix" in r.stderr
