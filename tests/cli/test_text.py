"""tokenize and template."""
import json


def ok(r):
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout


def test_ids_of_exact_bytes(run, tiny):
    assert ok(run("tokenize", "-m", tiny, "--ids", stdin=b" the in\n")) == b"258 32 259 10\n".replace(b"10", str(10).encode())
    assert ok(run("tokenize", "-m", tiny, "--ids", stdin=b"")) == b"\n"
    raw = bytes(range(256))
    ids = ok(run("tokenize", "-m", tiny, "--ids", stdin=raw))
    assert ok(run("tokenize", "-m", tiny, "--decode", stdin=ids)) == raw


def test_special_only_where_asked_for(run, tiny):
    plain = ok(run("tokenize", "-m", tiny, "--ids", "-p", "<|im_end|>"))
    assert len(plain.split()) > 3
    assert ok(run("tokenize", "-m", tiny, "--ids", "--parse-special", "-p", "<|im_end|>")) == b"261\n"


def test_json_and_table(run, tiny):
    assert json.loads(ok(run("tokenize", "-m", tiny, "--json", "-p", " the"))) == {"n": 1, "ids": [258]}
    assert ok(run("tokenize", "-m", tiny, "-p", " the")) == b"     258  ' the'\n"


def test_decode_refuses_what_is_no_id(run, tiny):
    for bad in (b"288", b"-1", b"x", b"1 2 99999999999999999999", b"1.5"):
        r = run("tokenize", "-m", tiny, "--decode", stdin=bad)
        assert r.returncode == 2 and b"is no token id: whole numbers from 0 to 287" in r.stderr


def test_tokenizer_json_alone(run, tmp_path):
    t = tmp_path / "tokenizer.json"
    tokenizer = {"added_tokens": [{"id": 4, "content": "<s>", "special": True, "normalized": False}], "normalizer": {"type": "Lowercase"}, "pre_tokenizer": {"type": "BertPreTokenizer"},
                 "decoder": {"type": "WordPiece"}, "model": {"type": "WordPiece", "unk_token": "?", "vocab": {"?": 0, "lathe": 1, "##s": 2, "!": 3}}}
    t.write_text(json.dumps(tokenizer))
    assert ok(run("tokenize", "-m", t, "--ids", stdin="Lathes! caf\u00e9<s>".encode())) == b"1 2 3 0 0 0 0\n"
    assert ok(run("tokenize", "-m", t, "--ids", "--parse-special", "-p", "LATHE<s>")) == b"1 4\n"
    assert ok(run("tokenize", "-m", t, "--decode", stdin=b"1 2 3 1")) == b"lathes! lathe"
    assert ok(run("tokenize", "-m", t, "-p", "lathes")) == b"       1  ' lathe'\n       2  's'\n"
    t.write_text(json.dumps(dict(tokenizer, decoder={"type": "CTC"})))
    r = run("tokenize", "-m", t, "-p", "x")
    assert r.returncode == 3 and b"decoder 'CTC' is not supported" in r.stderr, r
    t.write_text('{"model": ')
    r = run("tokenize", "-m", t, "-p", "x")
    assert r.returncode == 3 and b"tokenizer.json: line 1" in r.stderr, r


def test_template(run, tmp_path):
    t, c = tmp_path / "t.jinja", tmp_path / "c.json"
    t.write_text("{% for m in messages %}[{{ m.role }}] {{ m.content }}\n{% endfor %}{{ strftime_now('%d %B %Y') }}")
    c.write_text(json.dumps({"messages": [{"role": "user", "content": "h\u00e9llo"}]}))
    want = "[user] h\u00e9llo\n10 July 2025".encode()
    assert ok(run("template", "--template", t, "--chat", c, "--date", "2025-07-10")) == want
    assert ok(run("template", "--template", t, "--chat", "-", "--date", "2025-07-10", stdin=c.read_bytes())) == want


def test_template_of_the_model(run, tiny, bare, tmp_path):
    c = tmp_path / "c.json"
    c.write_text(json.dumps({"messages": [{"role": "user", "content": "hi"}], "add_generation_prompt": True}))
    assert ok(run("template", "-m", tiny, "--chat", c)) == b"<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"
    r = run("template", "-m", bare, "--chat", c)
    assert r.returncode == 3 and b"has no chat template" in r.stderr


def test_template_errors(run, tmp_path):
    t, c = tmp_path / "t.jinja", tmp_path / "c.json"
    c.write_text("{}")
    for source, words in (("{% for %}", b""), ("{{ raise_exception('only pairs') }}", b"only pairs"), ("{% for i in range(99999999) %}x{% endfor %}", b"")):
        t.write_text(source)
        r = run("template", "--template", t, "--chat", c)
        assert r.returncode == 3 and r.stdout == b"" and r.stderr.startswith(b"lathe: ") and words in r.stderr and r.stderr.count(b"\n") == 1
    t.write_text("x")
    c.write_text("[not json")
    r = run("template", "--template", t, "--chat", c)
    assert r.returncode in (2, 3) and r.stderr.startswith(b"lathe: ")
