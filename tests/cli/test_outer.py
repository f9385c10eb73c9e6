"""Checkpoints of several models: the one that writes is read, what is left out is said, anything else is refused by name."""
import json, shutil, struct

import pytest

import hf_folder
from conftest import ROOT

FIXTURES = ("gemma3_vision", "mistral3_vision", "llava_vision", "llava_mistral_vision", "qwen2_vision", "qwen2_5_vision", "qwen3_vision")
SENTENCE = b"lathe: vision is left out: of this checkpoint only the text model is read\n"


def copy(name, tmp_path, change=None, rename=None):
    """The fixture's folder, its configuration and its tensors' names changed."""
    folder = tmp_path / name
    shutil.copytree(ROOT / "tests/fixtures" / name, folder)
    cfg = json.loads((folder / "config.json").read_text())
    if change:
        change(cfg)
    (folder / "config.json").write_text(json.dumps(cfg))
    if rename:
        raw = (folder / "model.safetensors").read_bytes()
        n = struct.unpack("<Q", raw[:8])[0]
        head = {rename(k): v for k, v in json.loads(raw[8:8 + n]).items()}
        text = json.dumps(head).encode()
        text += b" " * (-len(text) % 8)
        (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + n:])
    return folder


def logits(run, model, tmp_path):
    r = run("run", "-m", model, "--raw", "-p", "w5 w7 w11", "-n", "4", "--temp", "0", "--dump-logits", tmp_path / "logits")
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout, (tmp_path / "logits").read_text(), r.stderr


@pytest.mark.parametrize("name", FIXTURES)
def test_what_is_left_out_is_said_once(run, tmp_path, name):
    folder = ROOT / "tests/fixtures" / name
    want = logits(run, folder, tmp_path)
    assert want[2] == SENTENCE
    for r in (run("info", "-m", folder, "--json"), run("convert", folder, tmp_path / "m.gguf")):
        said = [line for line in r.stderr.splitlines(keepends=True) if b": note: " not in line]  # of the fixture's tokenizer
        assert r.returncode == 0 and said == [SENTENCE], r.stderr
    assert logits(run, tmp_path / "m.gguf", tmp_path) == (*want[:2], b"")  # which is a text model


def names_of_newer_versions(name):
    for old, new in (("language_model.model.", "model.language_model."), ("language_model.lm_head.", "lm_head."), ("vision_tower.", "model.vision_tower."),
                     ("multi_modal_projector.", "model.multi_modal_projector."), ("visual.", "model.visual.")):
        if name.startswith(old):
            return new + name[len(old):]
    return name


@pytest.mark.parametrize("name", ("gemma3_vision", "mistral3_vision", "llava_vision", "llava_mistral_vision"))
def test_names_of_newer_versions_mean_the_same(run, tmp_path, name):
    want = logits(run, ROOT / "tests/fixtures" / name, tmp_path)
    assert logits(run, copy(name, tmp_path, rename=names_of_newer_versions), tmp_path) == want


def flat(cfg):
    rope = {"rope_theta": 10000.0, "rope_scaling": {"type": "mrope", "mrope_section": [2, 1, 1]}}
    cfg.update({**cfg.pop("text_config"), "model_type": cfg["model_type"], **rope})
    del cfg["rope_parameters"]


def sparse(cfg):
    """As versions before 5 save what is inside: without what the class has by itself."""
    text = cfg["text_config"]
    cfg["text_config"] = {k: text[k] for k in ("hidden_size", "intermediate_size", "model_type", "num_hidden_layers", "rope_parameters", "sliding_window",
                                               "num_attention_heads", "num_key_value_heads", "head_dim", "query_pre_attn_scalar", "layer_types")}
    del cfg["tie_word_embeddings"]


@pytest.mark.parametrize("name,change", (("qwen2_vision", flat), ("qwen2_5_vision", flat), ("gemma3_vision", sparse)))
def test_other_ways_to_write_the_same_configuration(run, tmp_path, name, change):
    assert logits(run, copy(name, tmp_path, change), tmp_path) == logits(run, ROOT / "tests/fixtures" / name, tmp_path)


def test_defaults_of_what_is_inside(run, tmp_path):
    """The 4B of Gemma 3 has no numbers of heads in its config.json."""
    def change(cfg):
        for key in ("num_attention_heads", "num_key_value_heads", "head_dim", "query_pre_attn_scalar", "vocab_size"):
            del cfg["text_config"][key]
    r = run("info", "-m", copy("gemma3_vision", tmp_path, change), "--json")
    meta = json.loads(r.stdout)["meta"]
    assert [meta["gemma3.attention." + k] for k in ("head_count", "head_count_kv", "key_length", "scale")] == ["8", "4", "256", "0.0625"]


def test_tokens_with_a_meaning_come_from_around(run, tmp_path):
    def change(cfg):
        cfg["eos_token_id"] = [1, 17]
        cfg["text_config"].update(eos_token_id=None, bos_token_id=None)
        cfg["bos_token_id"] = 3
    folder = copy("gemma3_vision", tmp_path, change)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    meta = json.loads(run("info", "-m", folder, "--json").stdout)["meta"]
    assert (meta["tokenizer.ggml.bos_token_id"], meta["tokenizer.ggml.eos_token_id"], meta["tokenizer.ggml.eog_token_ids"]) == ("3", "1", "[2] 1, 17")
    assert meta["tokenizer.chat_template"] == "{{ messages }}"
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": 7}))
    r = run("info", "-m", folder)
    assert r.returncode == 3 and b"chat_template.json: chat_template is no text" in r.stderr


REFUSED = {
    "other text": ({}, {"model_type": "gemma3n_text"}, "Gemma3ForConditionalGeneration is of model_type 'gemma3n_text'"),
    "no type": ({}, {"model_type": None}, "is of model_type ''"),
    "another class": ({"architectures": ["Gemma3nForConditionalGeneration"]}, {}, "Gemma3nForConditionalGeneration cannot run"),
    "ears": ({"audio_config": {"hidden_size": 8}}, {}, "'audio_config' is not known"),
    "unknown inside": ({}, {"altup_num_inputs": 4}, "'altup_num_inputs' is not known"),
    "vision key inside": ({}, {"vision_config": {}}, "'vision_config' is not known"),
    "text key outside": ({"sliding_window": 7}, {}, "'sliding_window' is not known"),
    "quantized": ({"quantization_config": {"quant_method": "bitsandbytes"}}, {}, "quantization_config"),
    "quantized inside": ({}, {"quantization_config": {"quant_method": "gptq"}}, "quantization_config"),
    "list": ({"text_config": [1]}, {}, "text_config is no object"),
    "nothing inside": ({"text_config": {"model_type": "gemma3_text"}}, {}, "has no hidden_size"),
    "bidirectional": ({}, {"use_bidirectional_attention": True}, "use_bidirectional_attention"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(run, tmp_path, case):
    outer, inner, words = REFUSED[case]

    def change(cfg):
        cfg["text_config"].update(inner)
        cfg.update(outer)
    r = run("info", "-m", copy("gemma3_vision", tmp_path, change))
    assert r.returncode == 3 and r.stdout == b"" and r.stderr.startswith(b"lathe: ") and words in r.stderr.decode(), r.stderr


def test_tensors_of_neither_are_refused(run, tmp_path):
    for new in ("audio_tower.weight", "language_model.norm.weight", "model.layers.9.input_layernorm.weight"):
        folder = copy("gemma3_vision", tmp_path / new, rename=lambda n: new if n == "language_model.model.norm.weight" else n)
        r = run("info", "-m", folder)
        assert r.returncode == 3 and new.encode() in r.stderr, r.stderr
    r = run("info", "-m", copy("gemma3_vision", tmp_path, rename=lambda n: "model.norm.weight" if n.endswith("layers.1.input_layernorm.weight") else n))
    assert r.returncode == 3 and b"output_norm.weight" in r.stderr, r.stderr  # two of one name


def test_a_plain_model_has_nothing_around(run, tmp_path):
    r = run("info", "-m", hf_folder.write(tmp_path / "a", cfg={**hf_folder.config(), "text_config": {"hidden_size": 3}}))
    assert r.returncode == 3 and b"'text_config' is not known" in r.stderr
    entries = {**hf_folder.tensors(), "vision_tower.weight": ("F32", [1], bytes(4))}
    r = run("info", "-m", hf_folder.write(tmp_path / "b", entries=entries))
    assert r.returncode == 3 and b"vision_tower.weight is nothing that" in r.stderr
