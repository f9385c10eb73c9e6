"""Weights that are larger than memory: refused with the numbers, or streamed from their kept file with the same results."""
import os, re, subprocess, sys

import pytest

from conftest import PROGRAM, ROOT
from serving import Serving

pytestmark = pytest.mark.skipif(bool(os.environ.get("LATHE_CHECK_KIND")), reason="memory: of a build for finding faults")
NOTE = r"lathe: note: weights of (\d+) MiB are more than memory has room for: (\d+) MiB are read from the disk for every pass, which gave (\d+) MiB/s: " \
       r"about (\S+) passes a second"


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """1.07 G random weights, 576 MiB."""
    path = tmp_path_factory.mktemp("model") / "large.gguf"
    subprocess.run([sys.executable, ROOT / "bench/random_model.py", path, "Q4_0"], check=True, stdout=subprocess.DEVNULL)
    return path


@pytest.fixture(scope="module")
def go(large, tmp_path_factory):
    """go(home, option ..., before=) -> completed process with the most memory that it had, in MiB, and the bytes of its logits."""
    homes, logits = tmp_path_factory.mktemp("homes"), tmp_path_factory.mktemp("logits") / "logits"

    def run(home, *args, before=None):
        command = [PROGRAM, "run", "-m", large, "-p", "of a wheel that turns " * 8, "-n", "6", "--temp", "0", "-c", "256", "--raw", "--dump-logits", logits,
                   *args]
        logits.unlink(missing_ok=True)
        p = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=before, env={"HOME": str(homes / home)})
        out, err = p.stdout.read(), p.stderr.read()
        _, status, usage = os.wait4(p.pid, 0)
        p.returncode = os.waitstatus_to_exitcode(status)
        p.out, p.err, p.mib = out, err, usage.ru_maxrss >> 10
        p.logits = logits.read_bytes() if logits.exists() else None
        return p
    return run


@pytest.fixture(scope="module")
def plain(go):
    p = go("roomy", "--no-cache")
    assert p.returncode == 0 and p.logits and "note" not in p.err
    return p


def test_refused_with_the_numbers(go, plain):
    p = go("roomy", "--memory", "400M")
    assert p.returncode == 1 and p.out == "" and p.mib < 60
    assert re.search(r"weights of 576\.0 MiB and [\d.]+ MiB that the process has are more than the 400\.0 MiB of memory .*streamed", p.err)
    p = go("roomy", "--memory", "100M", "--stream")
    assert p.returncode == 1 and re.search(r"weights [\d.]+ MiB, KV cache of 256 tokens .* more than the 100\.0 MiB", p.err)
    p = go("roomy", "--memory", "400M", "--stream", "--no-cache")
    assert p.returncode == 1 and "576.0 MiB" in p.err and "400.0 MiB" in p.err and "cache folder" in p.err


@pytest.mark.parametrize("mib", [260, 320, 480, 620, 900])
def test_below_the_bound_with_the_same_logits(go, plain, mib):
    p = go("streams", "--memory", f"{mib}M", "--stream")
    assert p.returncode == 0 and p.out == plain.out and p.logits == plain.logits
    assert p.mib <= mib
    said = re.search(NOTE, p.err)
    assert bool(said) == (mib < 700)
    if said:
        weights, read, rate, passes = map(float, said.groups())
        assert weights == 576 and 576 - mib < read < 576 and rate > 0 and abs(passes * read / rate - 1) < 0.1


def test_chunks_of_prompts_stream_too(go, plain):
    p = go("streams", "--memory", "300M", "--stream", "--chunk", "16")
    q = go("roomy", "--no-cache", "--chunk", "16")
    assert p.returncode == 0 and p.logits == q.logits == plain.logits and p.mib <= 300


def test_a_server_counts_what_it_reads(large, tmp_path):
    s = Serving(tmp_path, large, "--memory", "400M", "--stream", "-c", "256")
    try:
        assert s.post("/v1/completions", prompt="of a wheel", max_tokens=4, temperature=0)[0] == 200
        text = s.ask("GET", "/metrics")[2].decode()
    finally:
        code, err = s.stop()
    assert code == 0 and re.search(NOTE, err)
    passes, read = (float(re.search(rf"^{name} (\S+)", text, re.M)[1]) for name in ("lathe_passes_total", "lathe_streamed_bytes_total"))
    assert passes >= 4 and 576 - 400 << 20 < read / passes < 576 << 20


def test_in_a_cgroup_of_half_the_weights(go, plain, cgroup):
    c = cgroup(288, 2)
    for _ in range(2):  # laid out, and found
        p = go("tight", before=c.enter)
        assert p.returncode == 0 and p.out == plain.out and p.logits == plain.logits and re.search(NOTE, p.err), p.err
    assert c.n_killed() == 0
    p = go("tight", "--no-cache", before=c.enter)
    assert p.returncode == 1 and "more than" in p.err and c.n_killed() == 0


def test_many_small_layers_in_a_cgroup(tmp_path, cgroup):
    import tiny_model
    model = tmp_path / "large.gguf"
    tiny_model.write(str(model), "F32", n_layer=20, n_embd=512, alike=1)
    command = [PROGRAM, "run", "-m", model, "-p", "hello you", "-n", "4", "--raw", "--temp", "0"]

    def run(home, **how):
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={"HOME": str(tmp_path / home)}, **how)
    roomy = run("roomy")
    c = cgroup(56, 1)
    first = run("tight", preexec_fn=c.enter)
    second = run("tight", preexec_fn=c.enter)
    assert model.stat().st_size > 56 << 20 and roomy.returncode == 0
    assert first.returncode == second.returncode == 0 and first.stdout == second.stdout == roomy.stdout, first.stderr
    assert c.n_killed() == 0
    kept = [next((tmp_path / home).glob(".cache/lathe/layouts/*.lay")).read_bytes() for home in ("roomy", "tight")]
    assert kept[0] == kept[1]
