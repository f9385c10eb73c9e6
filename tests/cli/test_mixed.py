"""lathe quantize with a target instead of a type: what is reached, what is refused, the same bytes everywhere."""
import json, math, struct

import pytest

import encoder_folder
import gguf_file
import hf_folder
import tiny_model
from test_calibrate import CALIB, FAMILIES, TEXT, as_family, divergence, text, tiny  # noqa: F401  (two are fixtures)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Rows of 256, which all types can hold, but for the feed-forward's."""
    path = tmp_path_factory.mktemp("wide") / "m.gguf"
    tiny_model.write(str(path), "F32", n_embd=256)
    return path


def quantize(run, source, target, text, *args, env=None):
    r = run("quantize", source, target, "--json", "--calib", text, *CALIB, *args, env=env)
    assert r.returncode == 0, r.stderr.decode()
    return json.loads(r.stdout)


def refused(run, source, target, *args):
    r = run("quantize", source, target, *args)
    assert r.returncode != 0 and not target.exists()
    return r.stderr.decode()


def types_of(path):
    return {name: t[0] for name, t in gguf_file.read(path)[1].items()}


def test_bits(run, wide, text, tmp_path):
    kl = None
    for bits in (3.5, 4.5, 6, 20):
        report = quantize(run, wide, tmp_path / "o.gguf", text, "--target-bpw", bits)
        assert bits * 0.9 < report["bits_per_weight"] <= bits or bits == 20
        assert kl is None or report["predicted_kl"] < kl
        kl = report["predicted_kl"]
        assert sum(t["tensors"] for t in report["types"].values()) == report["tensors"]
    assert set(report["types"]) == {"Q8_0", "F32"}  # with room for everything


def test_size(run, tiny, text, tmp_path):
    """The whole file counts, and a byte less is refused with the number."""
    least = refused(run, tiny, tmp_path / "o.gguf", "--target-size", "20000", "--calib", text, *CALIB)
    least = int(least.split()[-1])
    report = quantize(run, tiny, tmp_path / "o.gguf", text, "--target-size", least)
    assert report["bytes_after"] == least == (tmp_path / "o.gguf").stat().st_size
    (tmp_path / "o.gguf").unlink()
    assert str(least) in refused(run, tiny, tmp_path / "o.gguf", "--target-size", str(least - 1), "--calib", text, *CALIB)
    report = quantize(run, tiny, tmp_path / "o.gguf", text, "--target-size", least + 9000)
    assert least < report["bytes_after"] <= least + 9000


@pytest.mark.parametrize("method", ["round", "gptq", "awq"])
def test_types_and_rules(run, wide, text, tmp_path, method):
    quantize(run, wide, tmp_path / "o.gguf", text, "--target-bpw", "6", "--types", "q3_k,q5_0,q8_0", "--tensor-type", "attn_v=q4_1", "--method", method)
    types = types_of(tmp_path / "o.gguf")
    number = {"Q3_K": 11, "Q5_0": 6, "Q8_0": 8, "Q4_1": 3, "F32": 0}
    for name, t in types.items():
        if "norm" in name:
            assert t == number["F32"]
        elif "attn_v" in name:
            assert t == number["Q4_1"]
        elif "ffn_down" in name:  # rows of 96
            assert t in (number["Q5_0"], number["Q8_0"])
        else:
            assert t in (number["Q3_K"], number["Q5_0"], number["Q8_0"])
    r = run("run", "-m", tmp_path / "o.gguf", "--raw", "-p", "the hello", "-n", "4", "--temp", "0", "--no-cache")
    assert r.returncode == 0, r.stderr.decode()


def test_same_bytes(run, tiny, text, tmp_path):
    want = None
    for threads, isa in ((1, ""), (3, ""), (2, "c"), (2, "avx2")):
        report = quantize(run, tiny, tmp_path / "o.gguf", text, "--target-bpw", "5.5", "-t", str(threads), env={"LATHE_CPU": isa} if isa else None)
        got = (tmp_path / "o.gguf").read_bytes(), report["predicted_kl"]
        assert want in (None, got), (threads, isa)
        want = got
    assert not [p for p in tmp_path.iterdir() if p.name != "o.gguf"]


def test_divergence(run, tiny, tmp_path):
    """Within the target as measured, and the looser one is the smaller file; it is not there until it fits."""
    text = tmp_path / "long.txt"
    text.write_text(TEXT * 5)
    sizes = []
    for kl in (0.2, 0.06):
        report = quantize(run, tiny, tmp_path / "o.gguf", text, "--target-kl", kl)
        assert kl * 0.5 < report["measured_kl"] <= kl and report["predicted_kl"] > 0
        sizes.append(report["bytes_after"])
    assert sizes[0] < sizes[1]
    (tmp_path / "o.gguf").unlink()
    assert "cannot be reached: with the largest of these types it is 0." in refused(
        run, tiny, tmp_path / "o.gguf", "--target-kl", "1e-5", "--calib", text, *CALIB)
    assert [p.name for p in tmp_path.iterdir()] == ["long.txt"]


def test_kinds(run, tiny, text, tmp_path):
    report = quantize(run, tiny, tmp_path / "o.gguf", text, "--target-bpw", "5")
    assert set(report["kinds"]) >= {"token_embd", "attn_q", "ffn_down", "output_norm"}
    assert all(sum(of.values()) == 2 for kind, of in report["kinds"].items() if kind.startswith(("attn_", "ffn_")))
    r = run("quantize", tiny, tmp_path / "o.gguf", "--target-bpw", "5", "--calib", text, *CALIB)
    assert r.returncode == 0 and b"ffn_down " in r.stdout and b"predicted KL divergence" in r.stdout and b"norm" not in r.stdout


@pytest.mark.parametrize("family", FAMILIES)
def test_prediction_for_every_family(run, text, tmp_path, family):
    """Fused matrices and experts are measured as the tensors that they are, and what is predicted comes about."""
    as_family(tmp_path / "m.gguf", family)
    report = quantize(run, tmp_path / "m.gguf", tmp_path / "o.gguf", text, "--target-bpw", "6.5")
    assert report["bits_per_weight"] > 6
    measured = divergence(run, tmp_path / "o.gguf", tmp_path / "m.gguf", text)
    assert 0.4 * measured < report["predicted_kl"] < 1.6 * measured


def test_folder_and_encoder(run, text, tmp_path):
    hf_folder.write(tmp_path / "hf")
    assert quantize(run, tmp_path / "hf", tmp_path / "o.gguf", text, "--target-bpw", "5")["bits_per_weight"] <= 5
    (tmp_path / "o.gguf").unlink()
    encoder_folder.write(tmp_path / "bert")
    assert "no output head" in refused(run, tmp_path / "bert", tmp_path / "o.gguf", "--target-bpw", "16", "--calib", text, *CALIB)


def test_bad_weight_is_named(run, tiny, text, tmp_path):
    data = bytearray(tiny.read_bytes())
    at = data.rindex(gguf_file.read(tiny)[1]["blk.1.ffn_up.weight"][2])
    data[at + 280:at + 284] = struct.pack("<f", math.nan)
    (tmp_path / "m.gguf").write_bytes(data)
    assert "blk.1.ffn_up.weight" in refused(run, tmp_path / "m.gguf", tmp_path / "o.gguf", "--target-bpw", "5", "--calib", text, *CALIB)


@pytest.mark.parametrize("args, words", [
    (("--target-bpw", "4"), "needs a calibration text"),
    (("--target-bpw", "4", "--type", "q4_0", "--calib", "TEXT"), "not both"),
    (("--target-bpw", "4", "--target-size", "1M", "--calib", "TEXT"), "name one"),
    (("--target-bpw", "4", "--pure", "--calib", "TEXT"), "--pure"),
    (("--target-bpw", "4", "--type", "int4", "--calib", "TEXT"), "not both"),
    (("--type", "q4_0", "--types", "q4_0,q8_0"), "for a target"),
    (("--target-bpw", "4", "--calib", "TEXT", "--imatrix", "TEXT"), "not from both"),
    (("--target-bpw", "4", "--types", "q4_0,q9", "--calib", "TEXT"), "'q9'"),
    (("--target-bpw", "1", "--calib", "TEXT", *CALIB), "the least with these types is"),
    (("--target-bpw", "-1", "--calib", "TEXT"), "target-bpw"),
])
def test_refused(run, tiny, text, tmp_path, args, words):
    assert words in refused(run, tiny, tmp_path / "o.gguf", *(str(text) if a == "TEXT" else a for a in args))
