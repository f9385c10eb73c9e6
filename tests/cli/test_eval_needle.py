"""eval --needle: where the key lies, what it costs, and that nothing but the options of the candidate changes it."""
import json

import pytest

from test_eval import coarse, ok, text
from test_eval_html import read, words


def measure(run, *args):
    return json.loads(ok(run("eval", "--json", "--depths", "3", "--keys", "2", *args)))["needle"]


def test_cells_add_up(run, tiny, coarse, text, tmp_path):
    d = measure(run, "-m", coarse, "--ref", tiny, "-f", text, "--needle", "192,256", "--html", tmp_path / "r.html")
    for side in (d["model"], d["reference"]):
        assert [(c["length"], c["depth"], c["n"]) for c in side["cells"]] == [(n, depth, 2) for n in (192, 256) for depth in (0, 0.5, 1)]
        for key in ("found", "ranked"):
            assert side[key]["value"] == pytest.approx(sum(c[key] for c in side["cells"]) / 12) and side[key]["low"] <= side[key]["value"] <= side[key]["high"]
    root = read(tmp_path / "r.html")
    assert "Retrieval at depth" in words(root) and [e.text for e in root.iter("th")][:6] == ["tokens", "0 %", "50 %", "100 %", "192", "256"]
    out = ok(run("eval", "-m", tiny, "-f", text, "--needle", "192", "--depths", "1")).decode()
    assert "50 %" in out and "192 tokens, found" in out and "perplexity" not in out


def test_the_prefix_of_the_text_is_computed_once(run, tiny, text):
    d = measure(run, "-m", tiny, "-f", text, "--needle", "256", "--depths", "9")["model"]
    assert d["n_computed"] < 0.85 * d["n_token"]


def test_each_item_is_logged(run, tiny, coarse, text, tmp_path):
    """And each key has a text of its own: the numbers of one depth are as unlike as those of two."""
    d = measure(run, "-m", coarse, "--ref", tiny, "-f", text, "--needle", "128,160", "--log-samples", tmp_path / "log")
    items = [json.loads(line) for line in (tmp_path / "log").open()]
    assert [(x["model"], x["item"]) for x in items] == 2 * [("model", i) for i in range(6)] + 2 * [("reference", i) for i in range(6)]
    assert sum(x["greedy"] for x in items[:12]) == sum(c["found"] for c in d["model"]["cells"]) and all(len(x["logp"]) == 10 for x in items)
    assert len({tuple(x["logp"]) for x in items}) == 24
    r = run("eval", "-m", tiny, "-f", text, "--log-samples", tmp_path / "log")
    assert r.returncode == 2 and b"--log-samples: there are items with" in r.stderr


@pytest.mark.parametrize("option", [("-t", "1"), ("--chunk", "7")])
def test_results_do_not_depend_on_how(run, tiny, text, option):
    cells = [measure(run, "-m", tiny, "-f", text, "--needle", "200", *more)["model"]["cells"] for more in ((), option)]
    assert cells[0] == cells[1]


@pytest.mark.parametrize("args, said", [
    (["--needle", "300"], "300"), (["--needle", "200"], "-f FILE"), (["--needle", "100"], "128"), (["--needle", "200,x"], "x"),
])
def test_refusals(run, tiny, text, args, said):
    more = [] if "-f FILE" in said else ["-f", text]
    r = run("eval", "-m", tiny, *args, *more)
    assert r.returncode == 2 and said in r.stderr.decode() and r.stdout == b"", r.stderr


def test_a_text_that_is_too_short(run, tiny, tmp_path):
    (tmp_path / "short.txt").write_text("word " * 35)
    r = run("eval", "-m", tiny, "-f", tmp_path / "short.txt", "--needle", "256")
    assert r.returncode == 2 and b"--needle 256: the text has" in r.stderr
