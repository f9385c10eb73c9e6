"""Every architecture answers conversations, in the form that its family's models are trained on; any template can be given instead."""
import json, os, random, struct
from pathlib import Path

import pytest

import gguf_file
import tiny_model
from serving import Server

ROOT = Path(__file__).resolve().parents[2]

MISTRAL = ("{{ bos_token }}{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
           "{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]{% else %} {{ m.content }}{{ eos_token }}{% endif %}{% endfor %}")
CHATML = ("{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}{%- endif %}"
          "{%- for m in messages %}{%- if m.role != 'system' %}{{- '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
          "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- if enable_thinking is defined and enable_thinking is false %}"
          "{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}")
GEMMA = ("{{ bos_token }}{%- for m in messages %}{%- set role = 'model' if m.role == 'assistant' else m.role %}"
         "{{ '<start_of_turn>' + role + '\\n' + m.content | trim + '<end_of_turn>\\n' }}{%- endfor %}"
         "{%- if add_generation_prompt %}{{ '<start_of_turn>model\\n' }}{%- endif %}")
PHI = ("{% for m in messages %}{{ '<|' + m.role + '|>\\n' + m.content + '<|end|>\\n' }}{% endfor %}"
       "{% if add_generation_prompt %}{{ '<|assistant|>\\n' }}{% endif %}")
HARMONY = ("{%- macro channel(name) %}{{ '<|channel|>' + name + '<|message|>' }}{% endmacro -%}"
           "{{ '<|start|>system<|message|>Reasoning: ' + reasoning_effort | default('medium') + '<|end|>' }}"
           "{%- for m in messages %}{{ '<|start|>' + m.role }}{% if m.role == 'assistant' %}{{ channel('final') }}{% else %}{{ '<|message|>' }}{% endif %}"
           "{{ m.content + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}")
TALK = [{"role": "user", "content": "hello in"}, {"role": "assistant", "content": "the "}, {"role": "user", "content": "in the"}]
CHATML_TEXT = "<|im_start|>user\nhello in<|im_end|>\n<|im_start|>assistant\nthe <|im_end|>\n<|im_start|>user\nin the<|im_end|>\n<|im_start|>assistant\n"
# fixture: template, further fields of the request, the text; <s> and </s> are the vocabulary's tokens of beginning and end
ROWS = {
    "mistral_window": (MISTRAL, {}, "{bos}[INST] hello in [/INST] the {eos}[INST] in the [/INST]"),
    "mixtral_experts": (MISTRAL, {}, "{bos}[INST] hello in [/INST] the {eos}[INST] in the [/INST]"),
    "qwen2_bias": (CHATML, {}, CHATML_TEXT),
    "qwen3_norms": (CHATML, {"chat_template_kwargs": {"enable_thinking": False}}, CHATML_TEXT + "<think>\n\n</think>\n\n"),
    "qwen3moe_norm": (CHATML, {"chat_template_kwargs": {"enable_thinking": True}}, CHATML_TEXT),
    "gemma2_all": (GEMMA, {}, "{bos}<start_of_turn>user\nhello in<end_of_turn>\n<start_of_turn>model\nthe<end_of_turn>\n<start_of_turn>user\nin the"
                   "<end_of_turn>\n<start_of_turn>model\n"),
    "gemma3_all": (GEMMA, {}, "{bos}<start_of_turn>user\nhello in<end_of_turn>\n<start_of_turn>model\nthe<end_of_turn>\n<start_of_turn>user\nin the"
                   "<end_of_turn>\n<start_of_turn>model\n"),
    "phi3_fused": (PHI, {}, "<|user|>\nhello in<|end|>\n<|assistant|>\nthe <|end|>\n<|user|>\nin the<|end|>\n<|assistant|>\n"),
    "gpt_oss_all": (HARMONY, {"reasoning_effort": "high"}, "<|start|>system<|message|>Reasoning: high<|end|><|start|>user<|message|>hello in<|end|>"
                    "<|start|>assistant<|channel|>final<|message|>the <|end|><|start|>user<|message|>in the<|end|><|start|>assistant"),
}


def with_words(fixture, path, template):
    """The fixture with the tiny model's vocabulary and random rows for it, so that it can read and write."""
    meta, tensors = gguf_file.read(ROOT / f"tests/fixtures/{fixture}.gguf")
    tiny = tiny_model.model()[0]
    n_vocab, rnd = len(tiny["tokenizer.ggml.tokens"]), random.Random(3)
    meta = {k: v for k, v in meta.items() if not k.startswith("tokenizer.") and not k.endswith("vocab_size")}
    meta |= {k: v for k, v in tiny.items() if k.startswith("tokenizer.")} | {"tokenizer.chat_template": template}
    infos, data = [], b""
    for name, (kind, dims, raw) in tensors.items():
        if name in ("token_embd.weight", "output.weight"):
            kind, dims = 0, [dims[0], n_vocab]
            raw = struct.pack(f"<{dims[0] * n_vocab}f", *(rnd.gauss(0, 1) for _ in range(dims[0] * n_vocab)))
        infos.append((name, dims, kind, len(raw)))
        data += raw + b"\0" * (-len(raw) % 32)
    path.write_bytes(tiny_model.head(meta, infos) + data)
    return path


@pytest.mark.parametrize("fixture", ROWS)
def test_architectures_talk(home, tmp_path, fixture):
    template, more, want = ROWS[fixture]
    want = want.replace("{bos}", "<|end|>").replace("{eos}", "<|im_end|>")
    server = Server(home, with_words(fixture, tmp_path / "m.gguf", template))
    try:
        same = {"messages": TALK, **more}
        assert server.post("/apply-template", **same) == (200, {"prompt": want})
        ids = server.post("/tokenize", prompt=want, add_special=False)[1]["tokens"]
        how = {"max_tokens": 12, "temperature": 0, "ignore_eos": True}
        status, chat = server.post("/v1/chat/completions", **same, **how)
        assert status == 200 and chat["usage"]["prompt_tokens"] == len(ids), chat
        text = server.post("/v1/completions", prompt=ids, **how)[1]
        assert chat["choices"][0]["message"]["content"] == text["choices"][0]["text"] != ""
        _, _, stream = server.ask("POST", "/v1/chat/completions", {**same, **how, "stream": True})
        parts = [json.loads(line[6:]) for line in stream.decode().splitlines() if line.startswith("data: {")]
        assert "".join(p["choices"][0]["delta"].get("content") or "" for p in parts if p["choices"]) == text["choices"][0]["text"]
    finally:
        server.stop()


def test_variables_of_a_template(home, tiny, tmp_path):
    path = tmp_path / "own.jinja"
    path.write_text("{{ tone | default('plain') }} {{ reasoning_effort | default('-') }}: {{ messages[-1].content }}")
    server = Server(home, tiny, "--chat-template", path)
    try:
        def ask(**more):
            return server.post("/apply-template", messages=[{"role": "user", "content": "x"}], **more)
        assert ask() == (200, {"prompt": "plain -: x"})
        assert ask(chat_template_kwargs={"tone": "warm"}, reasoning_effort="low") == (200, {"prompt": "warm low: x"})
        for wrong in ({"chat_template_kwargs": []}, {"chat_template_kwargs": {"messages": []}}, {"reasoning_effort": "much"}, {"reasoning_effort": 3}):
            status, body = ask(**wrong)
            assert status == 400 and body["error"]["param"] == next(iter(wrong))
    finally:
        server.stop()


def test_no_such_template(run, tiny, tmp_path):
    r = run("run", "-m", tiny, "-p", "x", "--chat-template", tmp_path / "none.jinja")
    assert r.returncode == 3 and b"none.jinja" in r.stderr


def goldens():
    path = Path(os.environ.get("LATHE_SHARED", ROOT.parent / "shared")) / "data/templates/goldens.jsonl"
    if not path.exists():
        pytest.skip("goldens: no shared data")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_published_templates(home, tiny, tmp_path):
    """Through the server as their libraries render them, where the variables are those that a request can have."""
    n = 0
    for i, g in enumerate(goldens()):
        more = {k: v for k, v in g["data"].items() if k not in ("messages", "add_generation_prompt")}
        plain = all(isinstance(m.get("content"), str) for m in g["data"]["messages"])
        asks = "add_generation_prompt"
        open_end = asks not in g["data"] and asks in g["chat_template"]  # a request always says where to end
        if not plain or open_end or "strftime_now" in g["chat_template"] or g["name"] == "MadeAgents/Hammer2.1":
            continue
        path = tmp_path / f"{i}.jinja"
        path.write_text(g["chat_template"])
        server = Server(home, tiny, "--chat-template", path)
        try:
            status, body = server.post("/apply-template", messages=g["data"]["messages"], chat_template_kwargs=more,
                                       add_generation_prompt=bool(g["data"].get(asks)))
            assert (status, body.get("prompt")) == (200, g["target"]), (g["name"], body)
        finally:
            server.stop()
        n += 1
    assert n >= 20
