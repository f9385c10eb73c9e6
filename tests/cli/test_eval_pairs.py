"""eval --pairs: rank correlation and drift of embeddings, against NumPy-free arithmetic on the vectors of lathe embed."""
import json, math

import pytest

from encoder_folder import write as write_encoder
from test_eval import coarse, ok

TEXTS = [("the fox jumps", "the brown fox jumps over", 4.5), ("a dog", "hello, in the lazy dog", 1.0), ("quick", "quick", 5.0), ("say \"hello\"", "hello", 3.25),
         ("over the lazy dog", "the in hello", 0.5), ("fox", "dog", 1.0), ("brown, quick", "quick, brown", 4.0)]


def csv(path, rows=TEXTS, head=""):
    quote = lambda s: '"' + s.replace('"', '""') + '"' if "," in s or '"' in s else s
    path.write_text(head + "".join(f"{quote(a)},{quote(b)},{score}\n" for a, b, score in rows))
    return path


def ranks(values):
    return [sum(x < v for x in values) + (sum(x == v for x in values) + 1) / 2 for v in values]


def correlation(x, y):
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mx) * (b - my) for a, b in zip(x, y)) / math.sqrt(sum((a - mx) ** 2 for a in x) * sum((b - my) ** 2 for b in y))


def vectors(run, model, *args):
    text = "".join(f"{a}\n{b}\n" for a, b, _ in TEXTS)
    return [json.loads(line) for line in ok(run("embed", "-m", model, "--json", *args, stdin=text.encode())).splitlines()]


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def measure(run, *args):
    return json.loads(ok(run("eval", "--json", *args)))["pairs"]


def test_rank_correlation_is_that_of_the_vectors(run, tiny, tmp_path):
    d = measure(run, "-m", tiny, "--pairs", csv(tmp_path / "sts.csv", head="a,b,score\n"))
    v = vectors(run, tiny)
    rho = correlation(ranks([dot(v[2 * i], v[2 * i + 1]) for i in range(7)]), ranks([s for *_, s in TEXTS]))
    half = 1.959964 * math.sqrt(1.06 / 4)
    assert d["model"]["spearman"] == {"value": pytest.approx(rho), "low": pytest.approx(math.tanh(math.atanh(rho) - half)), "high": pytest.approx(math.tanh(math.atanh(rho) + half))}
    assert (d["name"], d["n_pair"]) == ("sts", 7) and "drift" not in d


def test_drift_is_the_cosine_of_both_models_vectors(run, tiny, coarse, tmp_path):
    path = csv(tmp_path / "sts.csv")
    d = measure(run, "-m", coarse, "--ref", tiny, "--pairs", path)
    cosines = [dot(a, b) for a, b in zip(vectors(run, coarse), vectors(run, tiny))]
    assert d["drift"] == {"mean": pytest.approx(sum(cosines) / 14, abs=1e-5), "low_1": pytest.approx(min(cosines), abs=1e-5), "least": pytest.approx(min(cosines), abs=1e-5),
                          "least_pair": cosines.index(min(cosines)) // 2}
    assert d["reference"]["spearman"] == measure(run, "-m", tiny, "--pairs", path)["model"]["spearman"]
    assert measure(run, "-m", tiny, "--ref", tiny, "--pairs", path)["drift"]["least"] == pytest.approx(1, abs=1e-6)
    out = ok(run("eval", "-m", coarse, "--ref", tiny, "--pairs", path)).decode()
    assert "Spearman" in out and "1 % below" in out and "least" in out


def test_encoders(run, tmp_path):
    folder = tmp_path / "encoder"
    write_encoder(folder)
    d = measure(run, "-m", folder, "--load-as", "q8_0", "--ref", folder, "--pairs", csv(tmp_path / "sts.csv"), "--html", tmp_path / "r.html")
    assert 0.9 < d["drift"]["least"] < 1 and d["model"]["n_token"] == d["reference"]["n_token"] > 28
    assert "Rank correlation with people" in (tmp_path / "r.html").read_text()


@pytest.mark.parametrize("content, words", [
    ("a,b,1\na,b\n" * 4, "line 2 is no pair"), ("a,b,1\na,b,x\n", "line 2"), ("a,b,1\n\"a,b,1\n", "line 2"), ("a,b,1\na,b,1,2\n", "line 2"), ("a,b,1\n\"a\"b,c,1\n", "line 2"),
    ("a,b,1\n\"a\"\",c,1\n", "line 2"), ("a,b,nan\na,b,inf\n", "line 2"), ("a,b,1\na,b,2\na,b,3\n", "3 pairs"), ("", "0 pairs"), ("a,b,1\n" * 4 + ",b,1\n", "pair 4 is empty"),
])
def test_lines_that_are_no_pair(run, tiny, tmp_path, content, words):
    path = tmp_path / "bad.csv"
    path.write_text(content)
    r = run("eval", "-m", tiny, "--pairs", path)
    assert r.returncode == 3 and words in r.stderr.decode() and "bad.csv" in r.stderr.decode() and r.stdout == b"", r.stderr
