"""eval --tasks: questions with choices and last words on the tiny model."""
import json, math

import pytest

import tiny_model
from test_eval import coarse, ok

QUESTIONS = [{"query": f"the hello {i} " + "in the lazy dog " * (i % 9), "choices": ["fox", f"the quick {i} jumps", "é", "over the lazy dog " * (1 + i % 3)],
              "gold": i % 4} for i in range(21)]
WORDS = [{"context": "the in hello quick " * (1 + i % 5), "continuation": w} for i, w in enumerate(["fox", "the", "dog jumps", "in"] * 3)]


def write(path, items):
    path.write_text("".join(json.dumps(x, ensure_ascii=False) + "\n" for x in items))
    return path


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    return write(tmp_path_factory.mktemp("tasks") / "quiz.jsonl", QUESTIONS)


def samples(run, tmp_path, *args):
    log = tmp_path / "samples.jsonl"
    d = json.loads(ok(run("eval", *args, "--log-samples", log, "--json")))
    return d["tasks"], [json.loads(line) for line in log.read_text().splitlines()]


def log_likelihood(run, model, text, path):
    """Of all tokens of a text but the first, by the other way through eval."""
    path.write_text(text)
    n = len(ok(run("tokenize", "-m", model, "--ids", stdin=text.encode())).split())
    d = json.loads(ok(run("eval", "-m", model, "-f", path, "--ctx", n, "--tokens", "1", "--json")))
    return -math.log(d["all"]["ppl"]["value"]) * (n - 1)


def test_log_likelihoods_are_those_of_the_text(run, tiny, questions, tmp_path):
    """Context and choice in one piece, without a prefix cache, give the same sums; the blank at the query's end is the choice's."""
    _, log = samples(run, tmp_path, "-m", tiny, "--tasks", questions)
    assert len(log) == len(QUESTIONS) and [x["item"] for x in log] == list(range(21))
    for x, q in list(zip(log, QUESTIONS))[:6]:
        context = q["query"].rstrip()
        blanks = q["query"][len(context):]
        alone = log_likelihood(run, tiny, context, tmp_path / "text")
        for logp, choice in zip(x["logp"], q["choices"]):
            whole = log_likelihood(run, tiny, f"{context}{blanks} {choice}", tmp_path / "text")
            assert logp == pytest.approx(whole - alone, abs=2e-3), (q, choice)


def test_picks_and_accuracy(run, tiny, questions, tmp_path):
    (d,), log = samples(run, tmp_path, "-m", tiny, "--tasks", questions)
    best = [max(range(4), key=lambda k: x["logp"][k]) for x in log]
    norm = [max(range(4), key=lambda k: x["logp"][k] / len(q["choices"][k])) for x, q in zip(log, QUESTIONS)]
    assert [x["pick"] for x in log] == best and [x["pick_norm"] for x in log] == norm and best != norm
    gold = [q["gold"] for q in QUESTIONS]
    for key, picks in (("acc", best), ("acc_norm", norm)):
        share, n, z = sum(a == b for a, b in zip(picks, gold)) / 21, 21, 1.959964
        low, high = (((share + z * z / (2 * n)) + s * z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))) / (1 + z * z / n) for s in (-1, 1))
        assert d["model"][key] == {"value": pytest.approx(share), "low": pytest.approx(low), "high": pytest.approx(high)}
    assert d["task"] == "quiz" and d["n_item"] == 21


def test_an_item_does_not_depend_on_the_others(run, tiny, questions, tmp_path):
    _, all_of_them = samples(run, tmp_path, "-m", tiny, "--tasks", questions)
    _, few = samples(run, tmp_path, "-m", tiny, "--tasks", questions, "--limit", "5", "-t", "1", "--chunk", "7")
    assert few == all_of_them[:5]
    swapped = write(tmp_path / "swapped.jsonl", [dict(q, choices=q["choices"][::-1], gold=3 - q["gold"]) for q in QUESTIONS])
    (d,), log = samples(run, tmp_path, "-m", tiny, "--tasks", swapped)
    assert [x["logp"][::-1] for x in log] == [x["logp"] for x in all_of_them]


def test_contexts_are_computed_once(run, tiny, tmp_path):
    items = [{"query": f"{i} " + "the hello in quick " * 10, "choices": ["a", "b", "c", "d"], "gold": 0} for i in range(16)]
    (d,), _ = samples(run, tmp_path, "-m", tiny, "--tasks", write(tmp_path / "same.jsonl", items))
    n = len(ok(run("tokenize", "-m", tiny, "--ids", stdin=items[0]["query"].rstrip().encode())).split())
    assert d["model"]["n_token"] <= 16 * (n + 1 + 4 * 3)


def test_last_words(run, tiny, tmp_path):
    (d,), log = samples(run, tmp_path, "-m", tiny, "--tasks", write(tmp_path / "lambada.jsonl", WORDS))
    assert d["model"]["acc"]["value"] == pytest.approx(sum(x["greedy"] for x in log) / len(WORDS)) and "acc_norm" not in d["model"]
    assert d["model"]["ppl"]["value"] == pytest.approx(math.exp(-sum(x["logp"][0] for x in log) / len(WORDS)), rel=1e-6)
    said = ok(run("run", "-m", tiny, "--raw", "--temp", "0", "-n", "1", "--ignore-eos", "-p", WORDS[0]["context"].rstrip())).decode(errors="replace")
    greedy = write(tmp_path / "greedy.jsonl", [dict(WORDS[0], continuation=said[1:])]) if said.startswith(" ") and said.strip() else None
    if greedy:
        _, log = samples(run, tmp_path, "-m", tiny, "--tasks", greedy)
        assert log[0]["greedy"]


def test_forms_of_known_tasks(run, tiny, tmp_path):
    """A query of arc or piqa ends as theirs do, whatever white space the file has."""
    q = {"query": "Question: the fox?\n", "choices": ["in", "over"], "gold": 0}
    as_is = write(tmp_path / "x.jsonl", [dict(q, query="Question: the fox?\nAnswer:")])
    _, expected = samples(run, tmp_path, "-m", tiny, "--tasks", as_is)
    for name in ("arc_easy.jsonl", "piqa.jsonl"):
        _, log = samples(run, tmp_path, "-m", tiny, "--tasks", write(tmp_path / name, [q]))
        assert log[0]["logp"] == expected[0]["logp"]
    _, log = samples(run, tmp_path, "-m", tiny, "--tasks", write(tmp_path / "other.jsonl", [q]))
    assert log[0]["logp"] != expected[0]["logp"]


def test_beside_a_reference(run, tiny, coarse, questions, tmp_path):
    (d,), log = samples(run, tmp_path, "-m", coarse, "--ref", tiny, "--tasks", questions)
    own, ref = ([x for x in log if x["model"] == m] for m in ("model", "reference"))
    same = sum(a["pick_norm"] == b["pick_norm"] for a, b in zip(own, ref)) / 21
    assert d["same_choice"]["value"] == pytest.approx(same) and [x["logp"] for x in own] != [x["logp"] for x in ref]
    (alone,), log = samples(run, tmp_path, "-m", tiny, "--tasks", questions)
    assert [x["logp"] for x in log] == [x["logp"] for x in ref] and d["reference"]["acc"] == alone["model"]["acc"]


def test_table_and_text_beside_tasks(run, tiny, questions, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the in hello quick brown fox " * 60)
    out = ok(run("eval", "-m", tiny, "-f", text, "--tasks", questions, "--tasks", questions, "--limit", "4")).decode()
    assert "perplexity" in out and out.count("quiz: 4 items") == 2 and "acc_norm" in out


@pytest.mark.parametrize("line, words", [
    ('{"query": "a"}', "is no task"), ("{", "is no JSON"), ("[1]", "is no task"),
    ('{"query": "a", "choices": ["b", "c"], "gold": 2}', "gold"), ('{"query": "a", "choices": ["b", "c"], "gold": "b"}', "gold"),
    ('{"query": "a", "choices": ["b", 7], "gold": 0}', "no text"), ('{"query": "", "choices": ["b"], "gold": 0}', "empty query"),
    ('{"query": "a", "choices": [], "gold": 0}', "is no task"), ('{"context": "a", "continuation": "b"}', "another kind"),
])
def test_wrong_lines_are_named(run, tiny, tmp_path, line, words):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"query": "a", "choices": ["b", "c"], "gold": 0}\n\n' + line + "\n")
    r = run("eval", "-m", tiny, "--tasks", path)
    assert r.returncode == 3 and r.stdout == b"" and f"bad.jsonl: line 3 " in r.stderr.decode() and words in r.stderr.decode(), r.stderr


def test_a_line_is_bounded(run, tiny, tmp_path):
    path = tmp_path / "long.jsonl"
    path.write_bytes(b'{"query": "a", "choices": ["b", "c"], "gold": 0}\n\n{"query": "' + b"x" * (4 << 20) + b'"}\n')
    r = run("eval", "-m", tiny, "--tasks", path)
    assert r.returncode == 3 and b"long.jsonl: line 3 is longer than 4 MiB" in r.stderr
    path.write_bytes(b'{"query": "a", "choices": ["b", "c"], "gold": 0}\n\0{"query": "\0"}')
    r = run("eval", "-m", tiny, "--tasks", path)
    assert r.returncode == 3 and b"long.jsonl: line 2 is no JSON" in r.stderr


def test_files_that_are_none(run, tiny, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    for path, words in ((empty, b"has no task"), (tmp_path / "none", b"none"), (tmp_path, b"directory")):
        r = run("eval", "-m", tiny, "--tasks", path)
        assert r.returncode == 3 and words in r.stderr, r.stderr


def test_long_items_lose_their_beginning(run, tiny, tmp_path):
    end = "the fox jumps over " * 40
    a = write(tmp_path / "a.jsonl", [{"query": "x" * 300 + end, "choices": ["in", "the dog"], "gold": 0}])
    b = write(tmp_path / "b.jsonl", [{"query": "y" * 300 + end, "choices": ["in", "the dog"], "gold": 0}])
    _, one = samples(run, tmp_path, "-m", tiny, "--tasks", a)
    _, two = samples(run, tmp_path, "-m", tiny, "--tasks", b)
    assert one == [dict(two[0], task="a")]
    r = run("eval", "-m", tiny, "--tasks", write(tmp_path / "c.jsonl", [{"query": "a", "choices": ["z" * 600, "b"], "gold": 0}]))
    assert r.returncode == 1 and b"item 0 has a choice of" in r.stderr
