"""What a server takes: the plan that it prints, --memory under load, a cgroup of one CPU and 512 MB."""
import os, re, threading, time

import pytest

from serving import SLOW, Serving

sanitizer = pytest.mark.skipif(bool(os.environ.get("LATHE_CHECK_KIND")), reason="memory: of a build for finding faults")


@pytest.fixture(scope="module")
def roomy(tmp_path_factory):
    """A model whose KV cache is large beside it: 10 KiB a token."""
    import tiny_model
    path = tmp_path_factory.mktemp("model") / "roomy.gguf"
    tiny_model.write(str(path), "Q8_0", n_ctx=8192, n_layer=40, n_embd=128)
    return path


def load(s, n_client=16, n_each=3, n_prompt=400, n_predict=40):
    """Prompts of which no two begin alike, from many clients at once; what went wrong."""
    wrong = []

    def client(c):
        for i in range(n_each):
            ids = [(c * 31 + i * 7 + k * (c + 3)) % 256 for k in range(n_prompt)]
            status, answer = s.post("/v1/completions", prompt=ids, max_tokens=n_predict, temperature=0.8, ignore_eos=True, logprobs=2)
            if status != 200 or answer["usage"]["completion_tokens"] != n_predict:
                wrong.append((status, answer))
    threads = [threading.Thread(target=client, args=(c,)) for c in range(n_client)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return wrong


@sanitizer
@pytest.mark.parametrize("bound", [80, 160])
def test_the_peak_stays_below_the_bound(home, roomy, bound):
    s = Serving(home, roomy, "--memory", f"{bound}M")
    p = s.plan()
    assert p["bound"] == bound and bound - 2 <= p["total"] <= bound and abs(p["weights"] + p["kv"] + p["buffers"] + (p["swap"] or 0) - p["total"]) <= 3
    assert p["kv_tokens"] >= p["context"]
    assert load(s) == []
    time.sleep(0.3)  # the KV cache is touched in the background
    peak = s.status("VmHWM")
    code, err = s.stop()
    assert code == 0 and err == ""
    assert p["kv"] << 10 < peak < bound << 10  # KiB: all of the KV cache was there


@sanitizer
def test_the_first_start_stays_below_it_too(tmp_path, roomy):
    s = Serving(tmp_path, roomy, "--memory", "80M")
    assert load(s, n_each=1) == []
    assert s.status("VmHWM") < 80 << 10
    assert s.stop()[0] == 0


@sanitizer
def test_too_little_is_refused_with_the_numbers(home, roomy):
    s = Serving(home, roomy, "--memory", "24M")
    assert s.port == 0 and s.process.returncode == 1
    assert re.search(r"weights [\d.]+ MiB, KV cache of \d+ tokens [\d.]+ MiB and buffers [\d.]+ MiB .* are [\d.]+ MiB, more than the 24\.0 MiB",
                     s.err), s.err
    s = Serving(home, roomy, "--memory", "200M", "--kv-tokens", "100000")
    assert s.port == 0 and s.process.returncode == 1 and "KV cache of 100032 tokens" in s.err
    s = Serving(home, roomy, "--memory", "1M")
    assert s.port == 0 and s.process.returncode == 1 and "weights of" in s.err and "more than the 1.0 MiB" in s.err
    s = Serving(home, roomy, "--memory", "lots")
    assert s.port == 0 and s.process.returncode == 2 and "--memory 'lots' is not a size in bytes such as 800M or 2G" in s.err


def test_what_is_asked_for_is_not_made_smaller(home, roomy):
    s = Serving(home, roomy, "--memory", "120M", "-c", "512", "--parallel", "3", "--chunk", "100", "--kv-tokens", "1000")
    p = s.plan()
    assert (p["context"], p["sequences"], p["kv_tokens"]) == (512, 3, 1024)
    assert s.stop()[0] == 0


def test_bodies_at_once_have_a_limit(home, roomy):
    s = Serving(home, roomy, "--memory", "100M")
    status, answer = s.post("/v1/completions", prompt="x" * (1 << 20))
    assert status == 413 and "0.2 MiB" in answer["error"]["message"]
    assert s.stop()[0] == 0


@sanitizer
def test_bodies_that_grow_when_they_are_parsed(home, roomy):
    s = Serving(home, roomy, "--memory", "80M")
    assert load(s, n_each=1) == []
    seen = set()

    def send(body):
        for _ in range(4):
            seen.add(s.post("/v1/completions", **body)[0])
    for body in ({"prompt": [1] * 64000}, {"prompt": [[1]] * 40000}, {"prompt": "x", "max_tokens": 1, "metadata": {f"a{i}": 0 for i in range(16000)}}):
        threads = [threading.Thread(target=send, args=(body,)) for _ in range(12)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    assert seen <= {200, 400, 413, 503} and 400 in seen
    assert load(s, n_each=1) == [] and s.status("VmHWM") < 80 << 10
    assert s.stop()[0] == 0


# ---- cgroups ----

@sanitizer
def test_one_cpu_and_512_mb(home, roomy, cgroup):
    c = cgroup(512, 1)
    s = Serving(home, roomy, before=c.enter)
    p = s.plan()
    assert p["threads"] == 1 and p["bound"] <= 480 and p["total"] <= p["bound"] and p["kv_tokens"] == 16384
    assert load(s) == [] and c.n_killed() == 0
    assert s.stop()[0] == 0


@sanitizer
@pytest.mark.parametrize("mib", [40, 56, 80, 120])
def test_less_is_a_smaller_plan_or_a_refusal(home, roomy, cgroup, mib):
    c = cgroup(mib, 1)
    s = Serving(home, roomy, before=c.enter)
    if s.port:
        p = s.plan()
        assert p["total"] <= p["bound"] <= mib and p["kv_tokens"] < 16384
        assert load(s, n_each=1, n_prompt=min(400, p["context"] - 50)) == []
        assert s.stop()[0] == 0
    else:
        assert mib < 80 and s.process.returncode == 1 and "more than" in s.err and "KV cache" in s.err
    assert c.n_killed() == 0
    assert c.missing is None
    c.remove()


@sanitizer
def test_what_does_not_fit_the_cgroup_is_refused(home, roomy, cgroup):
    c = cgroup(120, 1)
    s = Serving(home, roomy, "--kv-tokens", "16384", before=c.enter)
    assert s.port == 0 and s.process.returncode == 1 and "KV cache of 16384 tokens" in s.err and c.n_killed() == 0
