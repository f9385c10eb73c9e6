"""Answers do not depend on company: 64 requests together, with pages for few of them, with prefixes that are there or not, by swap or
by computing again, in any chunk, give the tokens and log probabilities that each gets alone."""
import random

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serving import Server

N = 64
HOW = [dict(temperature=0, max_tokens=60), dict(temperature=0.9, seed=7, max_tokens=50, n=2)]


def prompts():
    r = random.Random(4)
    start = [r.randrange(256) for _ in range(80)]
    own = [[r.randrange(256) for _ in range(3 + 11 * i % 90)] for i in range(N)]
    return [start + p if i % 3 == 0 else p for i, p in enumerate(own)]


def answers(server, prompt, how):
    status, got = server.post("/v1/completions", prompt=prompt, ignore_eos=True, logprobs=2, **how)
    assert status == 200, got
    return [(c["text"], c["logprobs"], c["finish_reason"]) for c in got["choices"]]


def together(server):
    """All prompts in one body, so that they are there at once."""
    return [answers(server, prompts(), how) for how in HOW]


def metric(server, name, **labels):
    text = server.ask("GET", "/metrics")[2].decode()
    return sum(s.value for f in text_string_to_metric_families(text) for s in f.samples
               if s.name == name and labels.items() <= s.labels.items())


@pytest.fixture(scope="module")
def alone(home, tiny):
    """Each by itself, one after another, nothing taken over."""
    s = Server(home, tiny, "--parallel", "1", "--no-prefix-cache")
    got = [[choice for p in prompts() for choice in answers(s, [p], how)] for how in HOW]
    assert metric(s, "vllm:prefix_cache_hits_total") == 0 and metric(s, "lathe_pass_sequences_max") == 1
    assert s.stop() == (0, "")
    return got


@pytest.mark.parametrize("args,preempted", [
    (["--parallel", "32", "--kv-tokens", "16384"], ()),
    (["--parallel", "32", "--kv-tokens", "16384", "--no-prefix-cache", "--chunk", "7"], ()),
    (["--parallel", "32", "--kv-tokens", "768", "--preempt", "recompute"], ("recompute",)),
    (["--parallel", "32", "--kv-tokens", "768", "--preempt", "swap", "--swap", "16M"], ("swap",)),
    (["--parallel", "32", "--kv-tokens", "768", "--preempt", "swap", "--swap", "64K", "--chunk", "33"], ("swap",)),
    (["--parallel", "32", "--kv-tokens", "768", "--no-prefix-cache", "--target-itl", "0.01"], ("swap",)),
    (["--parallel", "3", "--kv-tokens", "768", "--threads", "1", "--kv-type", "f16"], ()),
])
def test_the_same_answers(home, tiny, alone, args, preempted):
    s = Server(home, tiny, *args)
    got = together(s)
    assert got == alone
    assert together(s) == alone  # now with prefixes of the first time
    if "16384" in args:
        assert metric(s, "lathe_pass_sequences_max") >= 16
    for kind in preempted:
        assert metric(s, "lathe_preemptions_total", kind=kind) > 0, kind
    assert (metric(s, "vllm:prefix_cache_hits_total") > 0) == ("--no-prefix-cache" not in args)
    assert metric(s, "lathe_kv_pages", state="used") == 0
    assert s.stop() == (0, "")
