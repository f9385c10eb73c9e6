"""--precision native: BF16 weights by the CPU's own bf16 dots; an answer still does not depend on how it is computed."""
import json

import pytest

import tiny_model


@pytest.fixture(scope="module")
def bf16(tmp_path_factory):
    path = tmp_path_factory.mktemp("precision") / "bf16.gguf"
    tiny_model.write(str(path), "BF16")
    return path


@pytest.fixture(scope="module")
def native_row(run):
    rows = json.loads(run("kernels", "--json").stdout)["kernels"]
    chosen = [k for k in rows if k["class"] == "native" and k["chosen"]]
    assert len(chosen) == any(k["class"] == "native" and k["available"] and k["isa"] != "c" for k in rows)
    return chosen[0] if chosen else None


def logits(run, model, path, *args):
    r = run("run", "-m", model, "--raw", "-p", "the hello in you and the world", "-n", "8", "--temp", "0", "--dump-logits", path, *args)
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout, path.read_bytes()


def test_native_differs_by_rounding_alone(run, native_row, bf16, tmp_path):
    """bf16 activations keep 8 bits: the distributions are near those of f32 activations, and not the same."""
    if not native_row:
        pytest.skip("bf16 dots: not on this CPU")
    assert logits(run, bf16, tmp_path / "n", "--precision", "native")[1] != logits(run, bf16, tmp_path / "p")[1]
    text = tmp_path / "text"
    text.write_bytes(b"the hello in you and the world " * 60)
    score = ["eval", "-m", bf16, "--ref", bf16, "--ref-exact", "-f", text, "--tokens", "500", "--json"]
    kl = {p: json.loads(run(*score, "--precision", p).stdout)["all"]["kl_mean"]["value"] for p in ("portable", "native")}
    assert 0 <= kl["portable"] < kl["native"] < 1e-3, kl


@pytest.mark.parametrize("how", [["--chunk", "1"], ["--chunk", "3"], ["--chunk", "13"], ["--threads", "1"], ["--threads", "3"]])
def test_native_has_one_answer(run, native_row, bf16, tmp_path, how):
    if not native_row:
        pytest.skip("bf16 dots: not on this CPU")
    want = logits(run, bf16, tmp_path / "a", "--precision", "native")
    assert logits(run, bf16, tmp_path / "b", "--precision", "native", *how) == want


def test_native_changes_no_other_type(run, tiny, tmp_path):
    assert logits(run, tiny, tmp_path / "a", "--precision", "native") == logits(run, tiny, tmp_path / "b")


def test_refusals(run, bf16):
    r = run("run", "-m", bf16, "-p", "x", "--precision", "native", env={"LATHE_CPU": "avx2"})
    assert r.returncode == 3 and b"no bf16 dots" in r.stderr and b"lathe kernels" in r.stderr and r.stderr.count(b"\n") == 1
    r = run("run", "-m", bf16, "-p", "x", "--precision", "native", "--exact")
    assert r.returncode == 2 and b"--exact" in r.stderr and b"native" in r.stderr, r.stderr
    r = run("run", "-m", bf16, "-p", "x", "--precision", "half")
    assert r.returncode == 2 and b"half" in r.stderr and b"portable" in r.stderr
