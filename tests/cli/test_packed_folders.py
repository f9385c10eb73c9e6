"""Folders with quantized weights (GPTQ, AWQ, compressed-tensors, bitsandbytes): read as what they mean, run, and refused by name where they lie."""
import json, struct

import pytest

import hf_folder
import packed_folder
from gguf_file import read


@pytest.fixture(scope="module", params=packed_folder.CASES)
def both(request, tmp_path_factory):
    """A quantized folder and the same model in F32."""
    place = tmp_path_factory.mktemp("packed")
    packed, plain = packed_folder.model(request.param, n_ctx=512)
    return request.param, packed_folder.write(place / "packed", request.param, packed, n_ctx=512), \
        hf_folder.write(place / "plain", entries=plain, n_ctx=512)


def converted(run, folder, to):
    r = run("convert", folder, to, "--type", "f32")
    assert r.returncode == 0, r.stderr.decode()
    return to.read_bytes()


def test_weights_are_those_that_are_meant(run, both, tmp_path):
    _, packed, plain = both
    a, b = (run("convert", x, tmp_path / f"{i}.gguf", "--type", "f32") for i, x in enumerate((packed, plain)))
    assert a.returncode == 0 and b.returncode == 0, a.stderr + b.stderr
    assert tensors(tmp_path / "0.gguf") == tensors(tmp_path / "1.gguf")


def tensors(path):
    return read(path)[1]


def logits(run, model, to, *args):
    r = run("run", "-m", model, "--raw", "-p", "the in hello the quick brown fox jumps over it", "-n", "6", "--temp", "0", "--ignore-eos", "--no-cache",
            "--dump-logits", to, *args)
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout, to.read_text()


def perplexity(run, model, tmp_path, *args):
    (tmp_path / "text").write_text("the in hello the quick brown fox jumps over it, in the end. " * 16)
    r = run("perplexity", "-m", model, "-f", tmp_path / "text", "--json", "--no-cache", *args)
    assert r.returncode == 0, r.stderr.decode()
    return json.loads(r.stdout)["ppl"]


def test_exact_runs_are_those_of_the_floats(run, both, tmp_path):
    """With f32 activations both compute with the same numbers; where columns are reordered, sums are in another order."""
    case, packed, plain = both
    if "act" not in case:
        assert logits(run, packed, tmp_path / "packed", "--exact") == logits(run, plain, tmp_path / "plain", "--exact")
    want = perplexity(run, plain, tmp_path, "--exact")
    assert abs(perplexity(run, packed, tmp_path, "--exact") / want - 1) < 1e-5
    assert abs(perplexity(run, packed, tmp_path) / want - 1) < 0.02


def test_chunks_and_threads_change_nothing(run, both, tmp_path):
    _, packed, _ = both
    want = logits(run, packed, tmp_path / "0", "--threads", "1")
    assert logits(run, packed, tmp_path / "1", "--threads", "2", "--chunk", "3") == want
