"""eval: a candidate beside a reference on the tiny model."""
import json, math

import pytest

import tiny_model

WORDS = "the in hello quick brown fox jumps over the lazy dog "


def ok(r):
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(f"{WORDS}{i * 7919 % 1000} " for i in range(300)))
    return path


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """The tiny model's weights in Q4_0."""
    path = tmp_path_factory.mktemp("model") / "coarse.gguf"
    tiny_model.write(str(path), "Q4_0")
    return path


def measure(run, *args):
    return json.loads(ok(run("eval", *args, "--json")))


def test_a_model_beside_itself_is_at_distance_zero(run, tiny, text):
    d = measure(run, "-m", tiny, "--ref", tiny, "-f", text, "--tokens", "1000")
    assert len(d["text"].pop("digest")) == 16
    assert d["text"] == {"file": str(text), "ctx": 256, "chunks": 4, "n_token": 1020, "n_token_asked": 1000, "bos": False}
    for group in (d["all"], d["half"], *d["by_position"]):
        assert group["kl_mean"] == group["kl_999"] == {"value": 0, "low": 0, "high": 0} and group["kl_max"]["value"] == 0
        assert group["same_top"]["value"] == group["ppl_ratio"]["value"] == 1 and group["ppl"] == group["ref_ppl"]


def test_second_halves_are_what_perplexity_measures(run, tiny, coarse, text):
    base = ["perplexity", "-f", text, "--chunks", "12", "--json"]
    ref, own = (json.loads(ok(run(*base, "-m", m))) for m in (tiny, coarse))
    d = measure(run, "-m", coarse, "--ref", tiny, "-f", text, "--tokens", 12 * 255)["half"]
    assert d["n"] == own["n_token"] and (d["from"], d["to"]) == (128, 254)
    assert d["ppl"]["value"] == pytest.approx(own["ppl"], rel=1e-8) and d["ref_ppl"]["value"] == pytest.approx(ref["ppl"], rel=1e-8)
    assert d["ppl_ratio"]["value"] == pytest.approx(d["ppl"]["value"] / d["ref_ppl"]["value"], rel=1e-6)


def test_groups_of_positions_make_the_whole(run, tiny, coarse, text):
    d = measure(run, "-m", coarse, "--ref", tiny, "-f", text, "--tokens", "2500")
    octaves, whole = d["by_position"], d["all"]
    assert [(g["from"], g["to"]) for g in octaves] == [(0, 31), (32, 63), (64, 127), (128, 254)]
    assert sum(g["n"] for g in octaves) == whole["n"] == d["text"]["n_token"] == 10 * 255
    for key, of in (("kl_mean", float), ("ppl", math.log), ("same_top", float), ("dp_mean", float)):
        mean = sum(of(g[key]["value"]) * g["n"] for g in octaves) / whole["n"]
        assert of(whole[key]["value"]) == pytest.approx(mean, rel=1e-6, abs=1e-9)
    assert max(g["kl_max"]["value"] for g in octaves) == whole["kl_max"]["value"]
    for group in (whole, d["half"], *octaves):
        for key, v in group.items():
            if isinstance(v, dict) and "low" in v:
                assert v["low"] <= v["value"] <= v["high"], key
        assert group["kl_50"]["value"] < group["kl_mean"]["value"] < group["kl_99"]["value"] <= group["kl_999"]["value"] <= group["kl_max"]["value"]


@pytest.mark.parametrize("option", [("-t", "1"), ("-t", "2"), ("--memory", "200M")])
def test_numbers_do_not_depend_on_how(run, tiny, coarse, text, option):
    base = ["-m", coarse, "--ref", tiny, "-f", text, "--tokens", "700"]
    assert measure(run, *base, *option)["all"] == measure(run, *base)["all"]


@pytest.mark.parametrize("level", ["c", "avx2"])
def test_levels_give_the_same_numbers(run, tiny, coarse, text, level):
    args = ["eval", "-m", coarse, "--ref", tiny, "-f", text, "--tokens", "500", "--json"]
    assert json.loads(ok(run(*args, env={"LATHE_CPU": level})))["all"] == json.loads(ok(run(*args)))["all"]


def test_options_are_the_candidates(run, tiny, text):
    """What f32 activations change is measured with one file on both sides, either way round."""
    a = measure(run, "-m", tiny, "--ref", tiny, "--ref-exact", "-f", text, "--tokens", "500")["all"]
    b = measure(run, "-m", tiny, "--ref", tiny, "--exact", "-f", text, "--tokens", "500")["all"]
    assert 1e-7 < a["kl_mean"]["value"] < 0.2 and a["kl_mean"]["value"] != b["kl_mean"]["value"]
    assert a["ppl"] == b["ref_ppl"] and a["ref_ppl"] == b["ppl"]


def test_without_reference_perplexity_alone(run, tiny, text):
    d = measure(run, "-m", tiny, "-f", text, "--tokens", "600")
    assert "reference" not in d and set(d["all"]) == {"from", "to", "n", "ppl"} and d["all"]["ppl"]["value"] > 1
    out = ok(run("eval", "-m", tiny, "-f", text, "--tokens", "600")).decode()
    assert "perplexity" in out and "KL" not in out


def test_the_table(run, tiny, coarse, text):
    out = ok(run("eval", "-m", coarse, "--ref", tiny, "-f", text, "--tokens", "1000")).decode()
    for line in ("KL divergence, mean", "99.9 % below", "same likeliest token", "second halves", "128 - 254", "4 chunks: intervals need some 20"):
        assert line in out, out
    assert "too narrow" not in ok(run("eval", "-m", tiny, "-f", text, "--ctx", "32", "--tokens", "1000")).decode()


def test_a_text_shorter_than_asked_is_said(run, tiny, text):
    r = run("eval", "-m", tiny, "-f", text, "--tokens", "999999", "--json")
    d = json.loads(ok(r))
    assert b"--tokens 999999" in r.stderr and str(d["text"]["n_token"]).encode() in r.stderr
    assert run("eval", "-m", tiny, "-f", text, "--json").stderr == b""


def test_one_chunk_has_no_interval(run, tiny, text):
    d = measure(run, "-m", tiny, "-f", text, "--tokens", "1")
    assert d["text"]["chunks"] == 1 and d["all"]["ppl"]["low"] is None and d["all"]["ppl"]["high"] is None


def test_another_tokenizer_is_refused_by_name(run, tiny, text, tmp_path):
    meta, tensors = tiny_model.model()
    meta = dict(meta)
    meta["tokenizer.ggml.tokens"] = [t if t != "he" else "hx" for t in meta["tokenizer.ggml.tokens"]]
    meta["tokenizer.ggml.merges"] = ["h x", "i n"]
    meta["general.name"] = "stranger"
    infos, data = [], b""
    for name, shape, values in tensors:
        raw = tiny_model.encode(values, "F32")
        infos.append((name, shape, 0, len(raw)))
        data += raw + b"\0" * (-len(raw) % 32)
    (tmp_path / "other.gguf").write_bytes(tiny_model.head(meta, infos) + data)
    r = run("eval", "-m", tiny, "--ref", tmp_path / "other.gguf", "-f", text)
    assert r.returncode == 2 and r.stdout == b"" and b"token 257 is 'hx' in stranger, 'he' in tiny" in r.stderr, r.stderr


@pytest.mark.parametrize("args, words", [
    ([], ["no text", "-f FILE"]),
    (["-f", "none.txt"], ["none.txt"]),
    (["-f", __file__, "--ctx", "257"], ["--ctx 257", "256"]),
    (["-f", __file__, "--ctx", "3"], ["--ctx 3", "4 tokens"]),
    (["-f", __file__, "--ref", "none.gguf"], ["none.gguf"]),
    (["-f", __file__, "--ref", __file__], ["test_eval.py"]),
])
def test_refusals(run, tiny, args, words):
    r = run("eval", "-m", tiny, *args)
    assert r.returncode in (2, 3) and r.stdout == b"" and all(w in r.stderr.decode() for w in words), r.stderr


def test_a_logit_that_is_not_finite_is_an_error_with_its_place(run, tiny, text, tmp_path):
    """The embedding of one token is NaN, and so is what follows it."""
    meta, tensors = tiny_model.model()
    infos, data = [], b""
    for name, shape, values in tensors:
        if name == "token_embd.weight":
            values = [math.inf if i // shape[0] == ord("9") else v for i, v in enumerate(values)]
        raw = tiny_model.encode(values, "F32")
        infos.append((name, shape, 0, len(raw)))
        data += raw + b"\0" * (-len(raw) % 32)
    (tmp_path / "damaged.gguf").write_bytes(tiny_model.head(meta, infos) + data)
    r = run("eval", "-m", tmp_path / "damaged.gguf", "--ref", tiny, "-f", text)
    assert r.returncode == 1 and r.stdout == b"" and b"candidate" in r.stderr and b"position" in r.stderr and b"chunk" in r.stderr, r.stderr
    r = run("eval", "-m", tiny, "--ref", tmp_path / "damaged.gguf", "-f", text)
    assert r.returncode == 1 and b"reference" in r.stderr and b"position" in r.stderr, r.stderr


@pytest.fixture(scope="module")
def kept(run, tiny, text, tmp_path_factory):
    """A kept reference of 12 chunks, and what keeping it printed."""
    path = tmp_path_factory.mktemp("kept") / "reference"
    return path, measure(run, "-m", tiny, "-f", text, "--tokens", 12 * 255, "--save-ref", path)


def test_a_kept_reference_gives_the_same_divergence(run, tiny, coarse, text, kept):
    path, d = kept
    assert d["save_ref"]["bytes"] == path.stat().st_size and d["save_ref"]["bytes_per_token"] < 2 * 288
    live = measure(run, "-m", coarse, "--ref", tiny, "-f", text, "--tokens", 12 * 255)
    d = measure(run, "-m", coarse, "--ref", path, "-f", text)
    assert d["text"]["chunks"] == 12 and d["reference"]["kept"] and not live["reference"]["kept"]
    for key in ("file_type", "name", "architecture", "n_param", "resident_bytes", "exact"):
        assert d["reference"][key] == live["reference"][key]
    for a, b in ((live["all"], d["all"]), (live["half"], d["half"])):
        assert a["ppl"] == b["ppl"] and a["ref_ppl"] == b["ref_ppl"] and a["same_top"] == b["same_top"] and a["dp_rms"] == b["dp_rms"]
        assert a["kl_mean"]["value"] == pytest.approx(b["kl_mean"]["value"], rel=2e-4)
        assert a["kl_99"]["value"] == pytest.approx(b["kl_99"]["value"], rel=2e-3)
    assert d["all"]["kl_mean"]["value"] != live["all"]["kl_mean"]["value"]


def test_the_model_itself_is_at_distance_zero_from_what_was_kept_of_it(run, tiny, text, kept):
    d = measure(run, "-m", tiny, "--ref", kept[0], "-f", text)["all"]
    assert d["kl_mean"]["value"] == d["kl_max"]["value"] == 0 and d["same_top"]["value"] == 1


def test_the_reference_is_kept_beside_a_comparison(run, tiny, coarse, text, kept, tmp_path):
    """The same bytes as when it was kept alone; and a part of the text may be scored."""
    measure(run, "-m", coarse, "--ref", tiny, "-f", text, "--tokens", 12 * 255, "--save-ref", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == kept[0].read_bytes()
    part = measure(run, "-m", coarse, "--ref", kept[0], "-f", text, "--tokens", 500)
    assert part["text"]["chunks"] == 2


def test_what_does_not_fit_a_kept_reference(run, tiny, coarse, text, kept, tmp_path):
    path = kept[0]
    changed = tmp_path / "changed.txt"
    changed.write_text(text.read_text().replace("fox jumps over the lazy dog 919 ", "fox jumps over the lazy cat 919 "))
    short = tmp_path / "short.txt"
    short.write_text(WORDS * 30)
    base = ["eval", "-m", coarse, "--ref", path]
    for args, words in ((["-f", changed], "is of another text: chunk 0"), (["-f", short], "is of another text"),
                        (["-f", text, "--ctx", "128"], "--ctx 128"), (["-f", text, "--tokens", "99999"], "--tokens 99999"),
                        (["-f", text, "--save-ref", tmp_path / "x"], "--save-ref")):
        r = run(*base, *args)
        assert r.returncode == 2 and words in r.stderr.decode() and r.stdout == b"", r.stderr
    assert not (tmp_path / "x").exists()


def test_a_damaged_kept_reference_is_an_error(run, tiny, text, kept, tmp_path):
    whole = kept[0].read_bytes()
    bad = tmp_path / "bad"
    for content, words in ((whole[:len(whole) // 2], "ends early"), (whole[:-300] + b"\x7f" + whole[-299:], "is damaged"),
                           (whole[:7] + b"\x09" + whole[8:], "this version"), (whole[:20], "this version")):
        bad.write_bytes(content)
        r = run("eval", "-m", tiny, "--ref", bad, "-f", text)
        assert r.returncode == 3 and r.stdout == b"" and words in r.stderr.decode() and "bad" in r.stderr.decode(), r.stderr


def test_a_reference_appears_complete_or_not_at_all(run, tiny, text, tmp_path):
    r = run("eval", "-m", tiny, "-f", text, "--save-ref", tmp_path / "none" / "ref")
    assert r.returncode == 1 and b"cannot be written" in r.stderr
    r = run("eval", "-m", tiny, "-f", text, "--ref", tiny, "--tokens", "999999", "--ctx", "257", "--save-ref", tmp_path / "ref")
    assert r.returncode == 2 and list(tmp_path.iterdir()) == []


def test_the_type_of_the_cache_is_the_candidates(run, tiny, text):
    """The reference beside it keeps f16: its perplexity does not change."""
    args = ["-m", tiny, "--ref", tiny, "-f", text, "--tokens", "1000"]
    f16, q4 = measure(run, *args), measure(run, *args, "--kv-type", "q4")
    assert q4["all"]["ref_ppl"] == f16["all"]["ref_ppl"] and q4["all"]["ppl"] != f16["all"]["ppl"]
    assert 0 < measure(run, *args, "--kv-type", "q8_0")["all"]["kl_mean"]["value"] < q4["all"]["kl_mean"]["value"] / 4
    spans = {(g["from"], g["to"]): g["kl_mean"]["value"] for g in q4["by_position"]}
    assert spans[0, 31] == spans[32, 63] == 0 < spans[64, 127]
