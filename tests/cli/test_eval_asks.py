"""eval --tasks: arithmetic and instructions, answered by writing on the tiny model."""
import json

import pytest

from test_eval import coarse, ok

SUMS = [{"question": f"How much is {i} and {i + 1}?", "answer": f"It is {i}+{i + 1}.\n#### {2 * i + 1}"} for i in range(9)]
RULES = [{"prompt": f"Say {i} things.", "instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
          "kwargs": [{}, {"num_words": 2 + i, "relation": "less than"}]} for i in range(7)]


def write(path, items):
    path.write_text("".join(json.dumps(x) + "\n" for x in items))
    return path


def samples(run, tmp_path, model, *args):
    log = tmp_path / "samples.jsonl"
    d = json.loads(ok(run("eval", "-m", model, "--log-samples", log, "--json", *args)))
    return d["tasks"], [json.loads(line) for line in log.read_text().splitlines()]


def alone(run, model, prompt, n, *args):
    return json.loads(ok(run("run", "-m", model, "--temp", "0", "-n", n, "--json", "-p", prompt, *args)))["text"]


def test_answers_are_those_of_the_prompt_alone(run, tiny, tmp_path):
    """With the examples before each question, in the harness' form; not asked again themselves."""
    path = write(tmp_path / "sums.jsonl", SUMS)
    (d,), log = samples(run, tmp_path, tiny, "--tasks", path, "--shots", "2", "--max-tokens", "5")
    assert (d["n_item"], d["shots"], d["chat"], d["max_tokens"], d["metric"]) == (7, 2, False, 5, "flexible_extract")
    shots = "".join(f"Question: {x['question']}\nAnswer: {x['answer']}\n\n" for x in SUMS[:2])
    for i in (0, 6):
        assert log[i]["text"] == alone(run, tiny, f"{shots}Question: {SUMS[i + 2]['question']}\nAnswer:", 5, "--raw") and log[i]["item"] == i
    assert d["model"]["n_cut"] == sum(x["cut"] for x in log)


def test_instructions_go_through_the_template(run, tiny, tmp_path):
    path = write(tmp_path / "rules.jsonl", RULES)
    (d,), log = samples(run, tmp_path, tiny, "--tasks", path, "--max-tokens", "6")
    assert d["chat"] is True and d["n_item"] == 7 and log[3]["text"] == alone(run, tiny, "Say 3 things.", 6)
    strict, loose = [x["strict"] for x in log], [x["loose"] for x in log]
    share = lambda verdicts: sum(verdicts) / len(verdicts)
    for name, expected in (("prompt_strict", share([all(v) for v in strict])), ("inst_strict", share([b for v in strict for b in v])),
                           ("prompt_loose", share([all(v) for v in loose])), ("inst_loose", share([b for v in loose for b in v]))):
        assert d["model"][name]["value"] == pytest.approx(expected)
    assert d["model"]["unchecked"] == {} and all(l >= s for a, b in zip(strict, loose) for s, l in zip(a, b))


@pytest.mark.parametrize("option", [("-t", "1"), ("--chunk", "7"), ("--limit", "3")])
def test_answers_do_not_depend_on_how(run, tiny, tmp_path, option):
    path = write(tmp_path / "rules.jsonl", RULES * 12)
    base = ("--tasks", path, "--max-tokens", "8")
    _, log = samples(run, tmp_path, tiny, *base, *option)
    assert log == samples(run, tmp_path, tiny, *base)[1][:len(log)] and len(log) in (3, 84)


def test_right_answers_count(run, tiny, tmp_path):
    """The right number is made what the model says."""
    path = write(tmp_path / "sums.jsonl", SUMS)
    _, log = samples(run, tmp_path, tiny, "--tasks", path, "--shots", "0", "--max-tokens", "40")
    said = [x["flexible"] or "none" for x in log]
    gold = write(tmp_path / "gold.jsonl", [dict(x, answer=f"#### {a}") for x, a in zip(SUMS, said)])
    (d,), log = samples(run, tmp_path, tiny, "--tasks", gold, "--shots", "0", "--max-tokens", "40")
    assert d["model"]["flexible_extract"]["value"] == pytest.approx(sum(a != "none" for a in said) / len(said))
    assert [x["right"][0] for x in log] == [a != "none" for a in said] and not any(x["right"][1] for x in log if not x["strict"])


def test_beside_a_reference_and_other_kinds(run, tiny, coarse, tmp_path):
    quiz = write(tmp_path / "quiz.jsonl", [{"query": "the", "choices": ["fox", "dog"], "gold": 0}] * 3)
    rules, sums = write(tmp_path / "rules.jsonl", RULES), write(tmp_path / "sums.jsonl", SUMS)
    args = ("--tasks", rules, "--tasks", quiz, "--tasks", sums, "--max-tokens", "6")
    tasks, log = samples(run, tmp_path, coarse, "--ref", tiny, *args)
    assert [t["task"] for t in tasks] == ["quiz", "rules", "sums"] and {x["model"] for x in log} == {"model", "reference"}
    own, ref = ([all(x["strict"]) for x in log if x["task"] == "rules" and x["model"] == m] for m in ("model", "reference"))
    assert tasks[1]["same_verdict"]["value"] == pytest.approx(sum(a == b for a, b in zip(own, ref)) / 7)
    out = ok(run("eval", "-m", coarse, "--ref", tiny, *args)).decode()
    assert "prompt_strict" in out and "inst_loose of the reference" in out and "strict_match" in out and "same verdict" in out and "quiz: 3 items" in out


def test_unchecked_languages_are_counted_by_name(run, tiny, tmp_path):
    rules = write(tmp_path / "r.jsonl", [{"prompt": "x", "instruction_id_list": ["language:response_language"], "kwargs": [{"language": "kn"}]}])
    (d,), log = samples(run, tmp_path, tiny, "--tasks", rules, "--max-tokens", "1")
    assert d["model"]["unchecked"] == ({"language:response_language": 1} if log[0]["strict"] == [None] else {})


def test_a_context_that_is_short(run, tiny, tmp_path):
    path = write(tmp_path / "rules.jsonl", [dict(RULES[0], prompt="long " * 300)])
    (d,), log = samples(run, tmp_path, tiny, "--tasks", path, "--max-tokens", "8")
    assert len(log) == 1
    r = run("eval", "-m", tiny, "--tasks", path)
    assert r.returncode == 1 and b"1280 tokens do not fit a context of 256" in r.stderr and b"--max-tokens" in r.stderr


@pytest.mark.parametrize("line, words", [
    ('{"question": "a"}', "is no task"), ("[]", "is no task"), ("{", "is no JSON"), ('{"question": "a", "answer": "b"}', "another kind"),
    ('{"prompt": "a", "instruction_id_list": ["x:y"], "kwargs": [{}]}', "not known"), ('{"prompt": "a", "instruction_id_list": [], "kwargs": []}', "as many kwargs"),
    ('{"prompt": "a", "instruction_id_list": ["keywords:existence"], "kwargs": [{}]}', "lacks an argument"),
    ('{"prompt": "a", "instruction_id_list": [7], "kwargs": [{}]}', "no text"), ('{"prompt": "a", "instruction_id_list": ["punctuation:no_comma"]}', "as many kwargs"),
])
def test_wrong_lines_are_named(run, tiny, tmp_path, line, words):
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(RULES[0]) + "\n\n" + line + "\n")
    r = run("eval", "-m", tiny, "--tasks", path)
    assert r.returncode == 3 and r.stdout == b"" and "bad.jsonl: line 3 " in r.stderr.decode() and words in r.stderr.decode(), r.stderr


def test_examples_alone_are_no_task(run, tiny, tmp_path):
    r = run("eval", "-m", tiny, "--tasks", write(tmp_path / "sums.jsonl", SUMS[:4]))
    assert r.returncode == 3 and b"4 questions, all of which are examples" in r.stderr
