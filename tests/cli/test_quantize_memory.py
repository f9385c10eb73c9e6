"""lathe quantize takes no more memory than a fifth of the model, or 64 MB: in a cgroup of that size the same bytes, and nothing is killed."""
import os, subprocess, time

import pytest

import tiny_model
from conftest import PROGRAM

pytestmark = pytest.mark.skipif(bool(os.environ.get("LATHE_CHECK_KIND")), reason="memory: of a build for finding faults")
MIB = 64
Q4_0 = ["--type", "q4_0"]
METHODS = {"round": Q4_0, "importances": [*Q4_0, "--calib"], "gptq": [*Q4_0, "--method", "gptq", "--calib"], "awq": [*Q4_0, "--method", "awq", "--calib"],
           "target": ["--target-kl", "20", "--types", "q4_0,q8_0", "--calib"]}


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """More than the bound, of which a fifth is less."""
    path = tmp_path_factory.mktemp("large") / "m.gguf"
    tiny_model.write(str(path), "Q8_0", n_layer=24, n_embd=1024, alike=1)
    assert MIB << 20 < path.stat().st_size < MIB * 5 << 20
    return path


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "calib.txt"
    path.write_text("the hello in you and the end of it, in the beginning was the word; " * 60)
    return path


def command(large, text, out, method):
    args = METHODS[method]
    return [PROGRAM, "quantize", large, out, *args, *([text, "--calib-ctx", "128", "--calib-tokens", "512"] if args[-1] == "--calib" else [])]


def start(home, *args, **more):
    return subprocess.Popen(command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"HOME": str(home), "PATH": os.environ["PATH"]}, **more)


def most_anonymous(p):
    """The most KiB of memory without a file that the process has until it ends."""
    most = 0
    while p.poll() is None:
        try:
            with open(f"/proc/{p.pid}/status") as f:
                most = max([most] + [int(line.split()[1]) for line in f if line.startswith("RssAnon")])
        except OSError:
            break
        time.sleep(0.002)
    return most


@pytest.mark.parametrize("method", ["round", "importances", "gptq", "awq"])
def test_what_cannot_be_taken_back(home, large, text, tmp_path, method):
    """Where there are no cgroups too: the memory that no file backs."""
    p = start(home, large, text, tmp_path / "o.gguf", method)
    assert 0 < most_anonymous(p) < MIB << 10 and p.wait() == 0


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """The second moments of one input, 4096 columns, are as much as the bound."""
    path = tmp_path_factory.mktemp("wide") / "m.gguf"
    tiny_model.write(str(path), "Q8_0", n_layer=1, n_ff=4096)
    return path


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """More tokens than most: what grows with them is more than the weights."""
    path = tmp_path_factory.mktemp("many") / "m.gguf"
    tiny_model.write(str(path), "F16", n_layer=1, n_vocab=393216)
    return path


def test_two_models_of_a_large_vocabulary(home, many, text, tmp_path):
    p = start(home, many, text, tmp_path / "o.gguf", "target")
    assert 0 < most_anonymous(p) < MIB << 10 and p.wait() == 0


def test_second_moments_larger_than_the_bound(home, wide, text, tmp_path):
    p = start(home, wide, text, tmp_path / "o.gguf", "gptq")
    assert 0 < most_anonymous(p) < MIB << 10 and p.wait() == 0


@pytest.mark.parametrize("method, model", [("round", "large"), ("gptq", "large"), ("gptq", "wide"), ("target", "many")])
def test_within_a_cgroup(home, request, text, tmp_path, cgroup, method, model):
    large = request.getfixturevalue(model)
    roomy = start(home, large, text, tmp_path / "a.gguf", method)
    want = roomy.communicate()
    c = cgroup(MIB, 2)
    tight = start(home, large, text, tmp_path / "b.gguf", method, preexec_fn=c.enter)
    got = tight.communicate()
    assert roomy.returncode == tight.returncode == 0 and c.n_killed() == 0, (want, got)
    assert want[0] == got[0] and (tmp_path / "a.gguf").read_bytes() == (tmp_path / "b.gguf").read_bytes()


def test_a_text_that_does_not_fit(run, wide, tmp_path):
    """No more is read of it than the tokens need; if that is too much, it is refused."""
    text, quantize = tmp_path / "long.txt", ("quantize", wide, tmp_path / "o.gguf", "--type", "q4_0", "--calib", tmp_path / "long.txt")
    text.write_text("the hello in you and the end of it " * 600000)
    r = run(*quantize, "--calib-tokens", "2048")
    assert r.returncode == 0 and b"calibrated on 2048 tokens" in r.stdout, r.stderr
    (tmp_path / "o.gguf").unlink()
    r = run(*quantize, "--calib-tokens", "4000000")
    assert r.returncode == 1 and b"the calibration text of 20.0 MiB" in r.stderr and b"the 64.0 MiB that there are: choose a shorter one" in r.stderr, r.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["long.txt"]


def test_chunks_that_do_not_fit_are_refused(run, large, text, tmp_path):
    text = tmp_path / "long.txt"
    text.write_text("the hello in you and the end of it " * 20000)
    tiny_model.write(str(tmp_path / "m.gguf"), "Q8_0", n_ctx=65536, n_embd=512)
    r = run("quantize", tmp_path / "m.gguf", tmp_path / "o.gguf", "--type", "q4_0", "--calib", text, "--calib-ctx", "65536")
    assert r.returncode == 1 and b"chunks of 65536 tokens" in r.stderr and b"choose a smaller --calib-ctx" in r.stderr, r.stderr
    assert not (tmp_path / "o.gguf").exists() and not (tmp_path / "o.gguf.work").exists()
