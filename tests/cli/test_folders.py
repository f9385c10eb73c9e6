"""Hugging Face folders: opened as what the same model is in GGUF; what is wrong with one is named; nothing is ignored."""
import json, os, struct
from pathlib import Path

import pytest

import hf_folder
from conftest import ROOT

HOSTILE_FILES = Path(os.environ.get("LATHE_SHARED", ROOT / "../shared")) / "data/fuzz/safetensors"


def info(run, path):
    r = run("info", "-m", path, "--json")
    assert r.returncode == 0, r.stderr.decode()
    return json.loads(r.stdout)


def refuse(run, path, *words):
    r = run("info", "-m", path)
    err = r.stderr.decode(errors="replace")
    assert r.returncode == 3 and r.stdout == b"" and err.startswith("lathe: ") and err.count("\n") == 1, (r.returncode, err)
    for w in words:
        assert w in err, err
    return err


@pytest.fixture(scope="module")
def sharded(tmp_path_factory):
    return hf_folder.write(tmp_path_factory.mktemp("hf") / "sharded", "BF16", shards=3)


def test_folder_is_what_gguf_is(run, tmp_path):
    import tiny_model
    tiny_model.write(str(tmp_path / "m.gguf"), "BF16")
    want, got = info(run, tmp_path / "m.gguf"), info(run, hf_folder.write(tmp_path / "m", "BF16"))
    assert sorted(map(json.dumps, got["tensors"])) == sorted(map(json.dumps, want["tensors"]))
    for key, value in want["meta"].items():
        if key.startswith("llama.") or key in ("general.architecture", "tokenizer.chat_template", "tokenizer.ggml.bos_token_id"):
            assert got["meta"][key] == value, key
    assert got["meta"]["llama.rope.halves"] == "true" and got["meta"]["general.name"] == "m"
    assert got["meta"]["tokenizer.ggml.eog_token_ids"] == "[2] 261, 262"
    assert got["meta"]["tokenizer.huggingface.json"].startswith('{"version": "1.0"')


def test_any_file_of_the_folder_opens_the_whole(run, sharded):
    want = info(run, sharded)
    assert len(want["tensors"]) == 20
    for name in ("model.safetensors.index.json", "model-00001-of-00003.safetensors", "model-00003-of-00003.safetensors", ""):
        assert info(run, f"{sharded}/{name}")["tensors"] == want["tensors"]


def test_template_in_a_file_of_its_own_wins(run, tmp_path):
    folder = hf_folder.write(tmp_path / "m")
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    assert info(run, folder)["meta"]["tokenizer.chat_template"] == "{{ messages }}"
    (folder / "chat_template.jinja").unlink()
    many = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "yes"}]
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": many}))
    assert info(run, folder)["meta"]["tokenizer.chat_template"] == "yes"


# ---- config.json

ROPE = {
    "linear": ({"rope_scaling": {"type": "linear", "factor": 4.0}}, {"scaling.type": "linear", "scaling.factor": "4"}),
    "yarn": ({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "attention_factor": 1.0}},
             {"scaling.type": "yarn", "scaling.factor": "4", "scaling.original_context_length": "64", "scaling.yarn_beta_fast": "32",
              "scaling.attn_factor": "0.878248"}),
    "parameters": ({"rope_theta": None, "rope_parameters": {"rope_type": "linear", "factor": 2, "rope_theta": 5e5}},
                   {"scaling.type": "linear", "scaling.factor": "2", "freq_base": "500000"}),
    "default": ({"rope_scaling": {"rope_type": "default"}}, {"freq_base": "10000"}),
}


@pytest.mark.parametrize("case", ROPE)
def test_rotary_scaling(run, tmp_path, case):
    changes, want = ROPE[case]
    meta = info(run, hf_folder.write(tmp_path, cfg={**hf_folder.config(), **changes}))["meta"]
    for key, value in want.items():
        assert meta["llama.rope." + key].startswith(value), (key, meta["llama.rope." + key])
    assert sum(k.startswith("llama.rope.scaling") for k in meta) == sum("scaling" in k for k in want) + (case == "yarn")


def test_llama3_frequencies_are_a_tensor(run, tmp_path):
    scaling = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}
    d = info(run, hf_folder.write(tmp_path, cfg={**hf_folder.config(), "rope_scaling": scaling}))
    assert {"name": "rope_freqs.weight", "type": "F32", "shape": [8], "bytes": 32, "runnable": True} in d["tensors"]
    assert not any(k.startswith("llama.rope.scaling") for k in d["meta"])


BAD_CONFIG = {
    "unknown key": ({"foo_factor": 2}, "'foo_factor' is not known"),
    "class": ({"architectures": ["BloomForCausalLM"]}, "BloomForCausalLM cannot run"),
    "no class": ({"architectures": []}, "names no architecture"),
    "activation": ({"hidden_act": "relu"}, "hidden_act"),
    "missing": ({"hidden_size": None}, "has no hidden_size"),
    "no number": ({"num_hidden_layers": "two"}, 'num_hidden_layers is "two"'),
    "fraction": ({"num_hidden_layers": 1.5}, "num_hidden_layers is 1.5"),
    "negative": ({"num_attention_heads": -4}, "num_attention_heads is -4"),
    "zero": ({"num_attention_heads": 0}, "num_attention_heads is 0"),
    "many layers": ({"num_hidden_layers": 5000}, "is 5000; at most 4096"),
    "fewer layers": ({"num_hidden_layers": 1}, "is of a layer that config.json has not"),
    "quantized": ({"quantization_config": {"quant_method": "hqq"}}, "quantized by 'hqq'"),
    "dynamic": ({"rope_scaling": {"type": "dynamic", "factor": 2.0}}, "'dynamic' cannot run"),
    "rope key": ({"rope_scaling": {"type": "linear", "factor": 2.0, "foo": 1}}, "'foo', which is not known"),
    "rope key without a name": ({"rope_scaling": {"type": "linear", "factor": 2.0, "": 1}}, "'', which is not known"),
    "rope keys in one": ({"rope_scaling": {"type": "linear", "factor": 2.0, "type rope_type": 1}}, "which is not known"),
    "rope factor": ({"rope_scaling": {"type": "linear"}}, "has no factor"),
    "rope zero": ({"rope_scaling": {"type": "linear", "factor": 0}}, "factor is 0"),
    "no rotation": ({"partial_rotary_factor": 0.01}, "0 of heads of 16 are rotated"),
    "rope list": ({"rope_scaling": [1]}, "is no object"),
    "untied": ({"tie_word_embeddings": False}, "lm_head.weight is missing"),
    "window types": ({"layer_types": ["full_attention"]}, "layer_types is no list of 2"),
    "layer type": ({"layer_types": ["full_attention", "linear_attention"]}, "'linear_attention', which cannot run"),
    "bos": ({"bos_token_id": 1 << 40}, "bos_token_id is 1099511627776"),
}


@pytest.mark.parametrize("case", BAD_CONFIG)
def test_bad_config(run, tmp_path, case):
    change, words = BAD_CONFIG[case]
    refuse(run, hf_folder.write(tmp_path, cfg={**hf_folder.config(), **change}), "config.json", words)


def test_unused_keys_are_no_features(run, tmp_path):
    change = {"_anything": 1, "some_feature": False, "another": None, "unsloth_version": "2"}
    info(run, hf_folder.write(tmp_path, cfg={**hf_folder.config(), **change}))


@pytest.mark.parametrize("text,words", [("", "is empty"), ("[]", "is another value"), ('{"a": 1', "no JSON object"), ('{"a":1,"a":2}', "duplicate"),
                                        ("[" * 100000, "no JSON object"), ('{"a": 1e999}', "no JSON object"), ("\xff", "no JSON object"),
                                        (" " * (1 << 20) + "{}", "at most 1048576")], ids=range(8))
def test_config_that_is_no_json(run, tmp_path, text, words):
    folder = hf_folder.write(tmp_path)
    (folder / "config.json").write_bytes(text.encode("latin-1"))
    refuse(run, folder, "config.json", words)


# ---- files

@pytest.mark.parametrize("name", ("tokenizer.model", "vocab.txt", None))
def test_no_tokenizer_json(run, tmp_path, name):
    """Neither run, nor made into a file without a vocabulary; what is there instead is named with what makes one of it."""
    folder = hf_folder.write(tmp_path / "m")
    (folder / "tokenizer.json").rename(folder / (name or "other"))
    words = f"{name} cannot be read, and there is no tokenizer.json; transformers makes one: AutoTokenizer" if name else "has no tokenizer.json; get the"
    for r in (run("convert", folder, tmp_path / "m.gguf"), run("run", "-m", folder, "-p", "x", "-n", "1")):
        assert r.returncode == 3 and words in r.stderr.decode(), r.stderr
    assert not (tmp_path / "m.gguf").exists()


def test_missing_files(run, tmp_path):
    refuse(run, tmp_path, "no config.json")
    folder = hf_folder.write(tmp_path / "m", shards=3)
    (folder / "model-00002-of-00003.safetensors").unlink()
    refuse(run, folder, "model-00002-of-00003.safetensors", "No such file")
    (folder / "model.safetensors.index.json").unlink()
    refuse(run, folder, "neither model.safetensors nor")


def change_index(folder, change):
    path = folder / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    change(index["weight_map"])
    path.write_text(json.dumps(index))


NORM = "model.norm.weight"


@pytest.mark.parametrize("change,words", [
    (lambda m: m.pop(NORM), "has tensor model.norm.weight, which the index has not"),
    (lambda m: m.update({NORM: "model-00003-of-00003.safetensors"}), "which the index has in model-00003"),
    (lambda m: m.update(extra="model-00001-of-00003.safetensors"), "the index has tensor extra"),
    (lambda m: m.update(extra="../m.safetensors"), "'../m.safetensors', which is not one of this folder"),
    (lambda m: m.update(extra=7), "gives extra no file"),
    (lambda m: m.clear(), "no weight_map")])
def test_index_that_lies(run, tmp_path, change, words):
    folder = hf_folder.write(tmp_path, shards=3)
    change_index(folder, change)
    refuse(run, folder, words)


def test_same_tensor_in_two_files(run, tmp_path):
    entries = hf_folder.tensors()
    folder = hf_folder.write(tmp_path, shards=2, entries=entries)
    path = folder / "model-00001-of-00002.safetensors"
    path.write_bytes(hf_folder.safetensors(dict(list(entries.items())[:10] + list(entries.items())[-1:])))
    refuse(run, folder, "which the index has in model-00002")


# ---- tensors

@pytest.mark.parametrize("change,words", [
    (lambda e: e.update(foo=("F32", [1], b"abcd")), "tensor foo is nothing that"),
    (lambda e: e.update({"model.layers.01.self_attn.q_proj.weight": ("F32", [1], b"abcd")}), "layers.01"),
    (lambda e: e.update({NORM: ("I64", [32], bytes(256))}), "model.norm.weight is I64, which cannot run"),
    (lambda e: e.update({NORM: ("F8_E4M3", [64], bytes(64))}), "model.norm.weight is F8_E4M3"),
    (lambda e: e.update({NORM: ("F32", [], bytes(4))}), "model.norm.weight has 0 dimensions"),
    (lambda e: e.update({NORM: ("F32", [0], b"")}), "and 0 bytes"),
    (lambda e: e.update({NORM: ("F9", [64], bytes(64))}), "dtype 'F9', which is not known"),
    (lambda e: e.update({"n" * 300: ("F32", [1], b"abcd")}), "a name of 300 bytes"),
    (lambda e: e.update({"": ("F32", [1], b"abcd")}), "a name of 0 bytes")])
def test_tensor_that_cannot_run(run, tmp_path, change, words):
    entries = hf_folder.tensors()
    change(entries)
    refuse(run, hf_folder.write(tmp_path, entries=entries), words)


def header(text, data=b"", n=None):
    return struct.pack("<Q", len(text) if n is None else n) + text.encode() + data


ONE = '{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}'
HOSTILE = {
    "length": (header("{}", n=1 << 40), "header has 1099511627776 bytes"),
    "length past 2^63": (header('{"', n=(1 << 64) - 1), "no safetensors file"),
    "longer than the file": (header("{}        ", n=11), "header has 11 bytes"),
    "no json": (header("{xxxxxxxxx"), "no JSON object"),
    "a list": (header("[1,2,3,4,5]"), "no safetensors file"),
    "twice": (header('{"a":' + ONE % (0, 4) + ',"a":' + ONE % (0, 4) + "}", bytes(4)), "duplicate object key"),
    "overlap": (header('{"a":' + ONE % (0, 4) + ',"b":' + ONE % (0, 4) + "}", bytes(4)), "begins at byte 0"),
    "hole": (header('{"a":' + ONE % (4, 8) + "}", bytes(8)), "begins at byte 4"),
    "rest": (header('{"a":' + ONE % (0, 4) + "}", bytes(8)), "end at byte 4 of the data, which has 8"),
    "beyond": (header('{"a":' + ONE % (0, 4) + "}", bytes(3)), "data_offsets [0, 4], but there are 3"),
    "backwards": (header('{"a":' + ONE % (4, 0) + "}", bytes(4)), "data_offsets [4, 0]"),
    "negative": (header('{"a":' + ONE % (-4, 0) + "}", bytes(4)), "data_offsets [-4, 0]"),
    "size": (header('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}', bytes(4)), "2 elements of F32 and 4 bytes"),
    "overflow": (header('{"a":{"dtype":"F32","shape":[4294967296,4294967296,4],"data_offsets":[0,4]}}', bytes(4)), "more than 2^64"),
    "bits overflow": (header('{"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,4]}}', bytes(4)), "4611686018427387904 elements"),
    "dims": (header('{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}', bytes(4)), "at most 8 dimensions"),
    "dim": (header('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}', bytes(4)), "dimension 0 that is no size"),
    "real dim": (header('{"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}', bytes(4)), "dimension 0 that is no size"),
    "huge number": (header('{"a":{"dtype":"F32","shape":[99999999999999999999],"data_offsets":[0,4]}}', bytes(4)), "no JSON object"),
    "no offsets": (header('{"a":{"dtype":"F32","shape":[1]}}', bytes(4)), "data_offsets that are not two"),
    "property": (header('{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1}}', bytes(4)), "property 'x'"),
    "no object": (header('{"a":[0,4]}', bytes(4)), "something that is no object"),
    "metadata": (header('{"__metadata__":{"a":1}}'), "__metadata__ has 'a', which is no string"),
    "metadata list": (header('{"__metadata__":[1]}'), "__metadata__ is no object"),
    "values": (header('{"a":[' + "1," * (5 << 20) + "1]}"), "more than 262144 tensors need"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", "Git LFS"),
    "page": (b"<!DOCTYPE html><html></html>", "web page"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_header(run, tmp_path, case):
    content, words = HOSTILE[case]
    folder = hf_folder.write(tmp_path)
    (folder / "model.safetensors").write_bytes(content)
    refuse(run, folder, words)


def test_hostile_files(run, tmp_path):
    """Their tensors are nothing that the model has; what their metadata tries is neither done nor shown nor written on."""
    if not HOSTILE_FILES.is_dir():
        pytest.skip("hostile: no shared test data")
    want = run("run", "-m", hf_folder.write(tmp_path / "plain"), "-p", "hello", "-n", "8", "--temp", "0").stdout
    files = sorted(HOSTILE_FILES.glob("*.safetensors"))
    assert files
    for path in files:
        folder = hf_folder.write(tmp_path / path.stem)
        (folder / "model.safetensors").write_bytes(path.read_bytes())
        refuse(run, folder, "model.safetensors: tensor bias is nothing that a LlamaForCausalLM")
        size = struct.unpack("<Q", path.read_bytes()[:8])[0]
        texts = json.loads(path.read_bytes()[8:8 + size])["__metadata__"]
        (folder / "model.safetensors").write_bytes(hf_folder.safetensors(hf_folder.tensors(), metadata=texts))
        assert run("run", "-m", folder, "-p", "hello", "-n", "8", "--temp", "0").stdout == want
        said = run("info", "-m", folder, "--json").stdout + run("convert", folder, tmp_path / "m.gguf").stderr + (tmp_path / "m.gguf").read_bytes()
        assert not [t for t in texts.values() if len(t) > 12 and (t.encode() in said or json.dumps(t).encode() in said)]


def test_cut_anywhere(run, tmp_path):
    folder = hf_folder.write(tmp_path)
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for n in (0, 1, 7, 8, 9, 100, 1000, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:n])
        refuse(run, folder, "model.safetensors")


# ---- what it computes

def logits(run, model, tmp_path, *args):
    r = run("run", "-m", model, "--raw", "-p", "the hello in you \u00e4", "-n", "6", "--temp", "0", "--dump-logits", tmp_path / "logits", *args)
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout, (tmp_path / "logits").read_text()


@pytest.mark.parametrize("kind,shards,pad", [("F32", 1, True), ("BF16", 3, True), ("F16", 2, False), ("F32", 1, False)])
def test_answers_are_those_of_gguf_bit_for_bit(run, tmp_path, kind, shards, pad):
    import tiny_model
    tiny_model.write(str(tmp_path / "m.gguf"), kind)
    folder = hf_folder.write(tmp_path / "m", kind, shards=shards, pad=pad)
    want = logits(run, tmp_path / "m.gguf", tmp_path)
    assert want[1].count("\n") >= 7
    for args in ([], [], ["--no-cache"], ["--exact"], ["--load-as", "q8_0"]):
        assert logits(run, folder, tmp_path, *args) == logits(run, tmp_path / "m.gguf", tmp_path, *args)
    assert run("convert", folder, tmp_path / "c.gguf").returncode == 0
    assert logits(run, tmp_path / "c.gguf", tmp_path) == want
    chat = ["-p", "hello", "-n", "5", "--temp", "0"]
    assert run("run", "-m", folder, *chat).stdout == run("run", "-m", tmp_path / "m.gguf", *chat).stdout


def test_a_changed_file_is_another_model(run, tmp_path):
    """What is kept between runs is of these files, configuration and tokenizer included."""
    folder = hf_folder.write(tmp_path / "m")
    cache = ["--cache-dir", tmp_path / "cache"]
    first = logits(run, folder, tmp_path, *cache)
    cfg = hf_folder.config()
    cfg["rms_norm_eps"] = 0.1
    (folder / "config.json").write_text(json.dumps(cfg))
    assert logits(run, folder, tmp_path, *cache) != first
    hf_folder.write(tmp_path / "m")
    assert logits(run, folder, tmp_path, *cache) == first
    tokenizer = hf_folder.tokenizer()
    tokenizer["model"]["merges"] = ["h e"]
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert logits(run, folder, tmp_path, *cache) != first


def test_every_token_that_ends_an_answer_is_heeded(run, tmp_path):
    folder = hf_folder.write(tmp_path)

    def finish():
        r = run("run", "-m", folder, "--raw", "-p", "the", "-n", "3", "--temp", "0", "--logit-bias", "5=1000", "--json")
        return json.loads(r.stdout)["finish"] if r.returncode == 0 else r.stderr.decode()
    assert finish() == "length"
    (folder / "generation_config.json").write_text('{"eos_token_id": [261, 5]}')
    assert finish() == "stop"
    (folder / "generation_config.json").write_text('{"eos_token_id": [261, 5000]}')
    assert "eog_token_ids has 5000" in finish()
