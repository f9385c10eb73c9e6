"""eval --html: the page is well-formed, shows what the results say, and takes no name for markup."""
import json, re
import xml.etree.ElementTree as ElementTree

import pytest

import tiny_model
from test_eval import coarse, measure, ok, text

HOSTILE = "</title><script>alert('1')</script><img src=x onerror=\"alert(2)\">&amp;\u0001"


def read(path):
    """The page as a tree: XML is stricter than HTML, and what parses as one is closed and escaped."""
    page = path.read_text()
    assert page.startswith("<!DOCTYPE html>")
    root = ElementTree.fromstring(page)
    assert {e.tag for e in root.iter()} <= set("html head meta title style body h1 h2 h3 p b ul li div section table thead tbody tr th td small svg g path "
                                               "circle text figure figcaption footer".split())
    assert not any(name.startswith("on") or name in ("href", "src") for e in root.iter() for name in e.attrib)
    assert "url(" not in page and "http:" not in page and "https:" not in page
    return root


def words(root):
    return " ".join("".join(root.itertext()).split())


def interval(value, low=None, high=None):
    return {"value": value, "low": low, "high": high}


def result(name, kl, mb=100, items=200, acc=0.5, **more):
    group = {"from": 0, "to": 510, "n": 20000, "ppl": interval(20, 19, 21), "ppl_ratio": interval(1 + kl, 1 + kl / 2, 1 + 2 * kl),
             "kl_mean": interval(kl, kl * 0.9, kl * 1.1), "kl_99": interval(kl * 9), "kl_999": interval(kl * 30), "same_top": interval(0.9, 0.8, 0.95)}
    return {"model": {"file": f"/models/{name}.gguf", "name": name, "n_param": 10 ** 8, "file_bytes": mb * 10 ** 6},
            "reference": {"name": "r", "file_type": "F16", "n_param": 10 ** 8, "exact": False},
            "text": {"file": "t.txt", "ctx": 512, "chunks": 40, "n_token": 20440, "digest": "00"},
            "all": group, "by_position": [dict(group, **{"from": f, "to": t}) for f, t in ((0, 31), (32, 63), (64, 127), (128, 510))],
            "tasks": [{"task": "quiz", "n_item": items, "metric": "acc_norm", "model": {"acc_norm": interval(acc, acc - 0.05, acc + 0.05)}}], **more}


def report(run, tmp_path, *results):
    paths = []
    for i, r in enumerate(results):
        paths.append(tmp_path / f"{i}.json")
        paths[-1].write_text(r if isinstance(r, str) else json.dumps(r))
    assert ok(run("eval", "--html", tmp_path / "report.html", *paths)) == b""
    return read(tmp_path / "report.html")


def test_a_run_and_an_earlier_one(run, tiny, coarse, text, tmp_path):
    args = ["--ref", tiny, "-f", text, "--tokens", "5200"]
    (tmp_path / "a.json").write_bytes(ok(run("eval", "-m", coarse, *args, "--json")))
    earlier = json.loads((tmp_path / "a.json").read_text())
    d = json.loads(ok(run("eval", "-m", tiny, "--kv-type", "bf16", *args, "--json", "--html", tmp_path / "r.html", tmp_path / "a.json")))
    assert d["options"]["kv-type"] == "bf16" and d["changes"] == "--kv-type bf16" and d["text"]["digest"] == earlier["text"]["digest"]
    assert earlier["model"]["bits_per_weight"] == pytest.approx(8 * coarse.stat().st_size / earlier["model"]["n_param"])
    root = read(tmp_path / "r.html")
    said = words(root)
    assert "coarse" in said and "--kv-type bf16" in said and "cannot be compared" not in said and "all are" not in said and "the two are told apart" in said
    assert len(root.findall(".//figure")) == 3 and f"{earlier['all']['kl_mean']['value']:.5g}" in said


def test_the_same_results_make_the_same_page(run, tmp_path):
    report(run, tmp_path, result("a", 0.1), result("b", 0.2))
    page = (tmp_path / "report.html").read_bytes()
    report(run, tmp_path, result("a", 0.1), result("b", 0.2))
    assert page == (tmp_path / "report.html").read_bytes()


def test_overlaps_are_said(run, tmp_path):
    said = words(report(run, tmp_path, result("a", 0.1), result("b", 0.105, mb=120), result("c", 0.3, mb=80)))
    assert "a and b cannot be told apart by KL on this text: 0.09 to 0.11 and 0.0945 to 0.1155." in said
    assert "a and c cannot" not in said and "b and c cannot" not in said
    assert "no two of the 3 can be told apart: all intervals overlap" in said and "A few hundred items cannot rank 4-bit formats" in said and "± 6.9 %" in said
    said = words(report(run, tmp_path, result("a", 0.1), result("c", 0.3, acc=0.7)))
    assert "By KL on this text the two are told apart" in said and "By accuracy on these 200 items the two are told apart" in said
    lone = result("a", 0.1)
    lone["all"]["kl_mean"] = interval(0.1)
    assert "0.1 without an interval and 0.27 to 0.33" in words(report(run, tmp_path, lone, result("c", 0.3)))


def test_what_cannot_be_compared_is_said(run, tmp_path):
    other = result("b", 0.1)
    other["text"]["digest"] = "01"
    said = words(report(run, tmp_path, result("a", 0.1), other))
    assert "not of one text and one reference" in said and "cannot be compared with it: b." in said and "told apart by KL" not in said


def test_hostile_names_stay_text(run, tmp_path):
    bad = result(HOSTILE, 0.1)
    bad["text"]["file"] = bad["reference"]["name"] = bad["reference"]["file_type"] = bad["tasks"][0]["task"] = bad["tasks"][0]["metric"] = bad["changes"] = HOSTILE
    said = words(report(run, tmp_path, bad, bad))
    assert said.count("<script>alert('1')</script>") >= 8 and "\u0001" not in said


@pytest.mark.parametrize("change", [
    {}, {"all": None}, {"all": []}, {"all": {"kl_mean": 7}}, {"all": {"kl_mean": {"value": "x"}}}, {"text": 3}, {"by_position": 1}, {"by_position": [1, {"from": 1}]},
    {"tasks": {}}, {"tasks": [None, 3, {}]}, {"tasks": [{"n_item": -1, "model": 3}]}, {"reference": 7},
    {"all": {"kl_mean": {"value": 1e300, "low": -1e300, "high": 1e308}}}, {"all": {"kl_mean": {"value": 0, "low": 0, "high": 0}}},
    {"model": {"file": 3, "n_param": 0, "file_bytes": 5}}, {"model": {}},
])
def test_results_may_lack_anything(run, tmp_path, change):
    report(run, tmp_path, dict(result("a", 0.1), **change), result("b", 0.2))
    assert "nan" not in re.sub("<style>.*</style>", "", (tmp_path / "report.html").read_text(), flags=re.S).lower().replace("candidate", "")


def test_many_candidates(run, tmp_path):
    root = report(run, tmp_path, *[result("same", 0.1 + i / 1000, mb=50 + i) for i in range(64)])
    assert "same (64)" in words(root) and "more pairs by KL" in words(root)


@pytest.mark.parametrize("content, said", [("{", "line 1"), ("[]", "is no result"), ('{"model": 1}', "is no result"), ("", "is no result"), (None, "none.json")])
def test_files_that_are_no_result(run, tmp_path, content, said):
    path = tmp_path / "none.json"
    if content is not None:
        path.write_text(content)
    r = run("eval", "--html", tmp_path / "r.html", path)
    assert r.returncode == 3 and said in r.stderr.decode() and "none.json" in r.stderr.decode() and not (tmp_path / "r.html").exists(), r.stderr


def test_refusals(run, tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(result("a", 0.1)))
    r = run("eval", tmp_path / "a.json")
    assert r.returncode == 2 and b"a.json" in r.stderr and b"--html" in r.stderr
    r = run("eval", "--html", tmp_path / "none" / "r.html", tmp_path / "a.json")
    assert r.returncode == 1 and b"cannot be written" in r.stderr
