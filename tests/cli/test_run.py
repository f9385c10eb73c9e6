"""run, chat, bench, perplexity, profile, selftest, machine on the tiny model."""
import json, os, platform, shutil, signal, subprocess, time
from pathlib import Path

import pytest

GREEDY = ["--raw", "--temp", "0", "--ignore-eos"]


def ok(r):
    assert r.returncode == 0, r.stderr.decode()
    return r.stdout


def test_raw_prints_the_continuation_alone(run, tiny):
    r = run("run", "-m", tiny, "-p", "hello", "-n", "5", *GREEDY)
    assert ok(r) and r.stderr == b""
    assert ok(run("run", "-m", tiny, "-n", "5", *GREEDY, stdin=b"hello")) == r.stdout


def test_json_is_one_object_with_the_same_text(run, tiny):
    plain = ok(run("run", "-m", tiny, "-p", "hello", "-n", "5", *GREEDY))
    r = run("run", "-m", tiny, "-p", "hello", "-n", "5", "--json", *GREEDY)
    d = json.loads(ok(r))
    assert d["text"] == plain.decode(errors="replace")
    assert d["n_generated"] == 5 and len(d["tokens"]) == 5 and d["finish"] == "length" and d["n_prompt"] == 4
    assert ok(run("tokenize", "-m", tiny, "--decode", stdin=" ".join(map(str, d["tokens"])).encode())) == plain


def test_same_seed_same_answer(run, tiny):
    a, b, c = (ok(run("run", "-m", tiny, "-p", "x", "-n", "12", "--raw", "--temp", "2", "--top-p", "1", "--seed", s)) for s in (1, 1, 2))
    assert a == b and a != c


@pytest.mark.parametrize("option", [["--chunk", "1"], ["--chunk", "7"], ["-t", "1"], ["-t", "2"], ["-c", "200"], ["--fusion", "off"], ["--no-cache"]])
def test_dumped_logits_do_not_depend_on_how(run, tiny, tmp_path, option):
    args = ["run", "-m", tiny, "-p", "the in hello the in hello the quick brown fox", "-n", "6", *GREEDY]
    base, other = tmp_path / "base", tmp_path / "other"
    text = ok(run(*args, "--dump-logits", base))
    assert ok(run(*args, "--dump-logits", other, *option)) == text
    lines = base.read_text().splitlines()
    assert lines == other.read_text().splitlines()
    n = len(ok(run("tokenize", "-m", tiny, "--ids", "-p", "the in hello the in hello the quick brown fox")).split())
    assert [int(line.split()[0]) for line in lines] == list(range(n + 5))
    assert len({line.split()[1] for line in lines}) == n + 5 and all(len(line.split()[1]) == 16 for line in lines)


@pytest.mark.parametrize("level", ["c", "avx2"])
def test_levels_give_the_same_bits(run, tiny, tmp_path, level):
    flags = Path("/proc/cpuinfo").read_text()
    if level == "avx2" and " avx2" not in flags:
        pytest.skip("levels: no AVX2 on this CPU")
    args = ["run", "-m", tiny, "-p", "the in hello", "-n", "6", *GREEDY, "--dump-logits"]
    ok(run(*args, tmp_path / "a"))
    ok(run(*args, tmp_path / "b", env={"LATHE_CPU": level}))
    assert (tmp_path / "a").read_text() == (tmp_path / "b").read_text()


def test_stop_text_is_not_printed(run, tiny):
    text = json.loads(ok(run("run", "-m", tiny, "-p", "hello", "-n", "24", "--json", "--temp", "1.5", "--raw")))["text"]
    stop = next(c for c in text[3:] if c.isalnum())
    d = json.loads(ok(run("run", "-m", tiny, "-p", "hello", "-n", "24", "--json", "--temp", "1.5", "--raw", "--stop", stop)))
    assert d["finish"] == "stop" and d["text"] == text[:text.index(stop)]


def test_logprobs_sum_below_one(run, tiny):
    import math
    d = json.loads(ok(run("run", "-m", tiny, "-p", "hello", "-n", "4", "--json", "--logprobs", "5", *GREEDY)))
    for t in d["tokens"]:
        assert len(t["top"]) == 5 and t["logprob"] == t["top"][0]["logprob"]
        assert 0 < sum(math.exp(x["logprob"]) for x in t["top"]) <= 1.0001
        assert [x["logprob"] for x in t["top"]] == sorted((x["logprob"] for x in t["top"]), reverse=True)


def test_logit_bias(run, tiny):
    d = json.loads(ok(run("run", "-m", tiny, "-p", "x", "-n", "4", "--json", "--logit-bias", "65=1000", *GREEDY)))
    assert d["tokens"] == [65] * 4
    first = json.loads(ok(run("run", "-m", tiny, "-p", "x", "-n", "1", "--json", *GREEDY)))["tokens"][0]
    assert json.loads(ok(run("run", "-m", tiny, "-p", "x", "-n", "1", "--json", f"--logit-bias={first}=-inf", *GREEDY)))["tokens"] != [first]
    for bad in ("65", "65=", "65=x", "288=1", "-1=1", "65=nan", "65=inf"):
        r = run("run", "-m", tiny, "-p", "x", "--logit-bias=" + bad)
        assert r.returncode == 2 and b"--logit-bias" in r.stderr and b"288" not in r.stderr.replace(b"288=1", b"")


def test_prompt_over_the_context(run, tiny):
    r = run("run", "-m", tiny, "-p", "x" * 300, "-n", "1", "--raw")
    assert r.returncode == 1 and b"lathe: " in r.stderr and b"256" in r.stderr and r.stdout == b""
    r = run("run", "-m", tiny, "-p", "", "--raw")
    assert r.returncode == 2 and b"the prompt is empty" in r.stderr


def test_without_template_the_prompt_is_continued_and_said_so(run, bare):
    r = run("run", "-m", bare, "-p", "hi", "-n", "3", "--temp", "0")
    assert ok(r) == ok(run("run", "-m", bare, "-p", "hi", "-n", "3", "--temp", "0", "--raw"))
    assert b"no chat template" in r.stderr
    assert run("chat", "-m", bare).returncode == 3


def test_chat_from_a_pipe(run, tiny, tmp_path):
    r = run("chat", "-m", tiny, "-n", "6", "--temp", "0", stdin=f"hello\n/stats\n/save {tmp_path}/talk.json\nagain\n/nonsense\n/set temp 9999\n"
            f"/set temp 0.5\n/retry\n/undo\n/clear\n/load {tmp_path}/talk.json\n/save {tmp_path}/two.json\n/help\n/quit\nunread\n".encode())
    out = ok(r).decode(errors="replace")
    assert "/retry" in out and "memory: weights" in out and "unread" not in out
    err = r.stderr.decode()
    assert "/nonsense is no command" in err and "'9999' is not a number from 0 to 100" in err
    talk = json.loads((tmp_path / "talk.json").read_text())
    assert [m["role"] for m in talk] == ["user", "assistant"] and talk[0]["content"] == "hello"
    assert json.loads((tmp_path / "two.json").read_text()) == talk


def test_chat_reuses_the_pages_of_the_last_answer(run, tiny):
    out = ok(run("chat", "-m", tiny, "-n", "4", "--temp", "0", stdin=b"hello hello hello\n/stats\nagain\n/stats\n")).decode(errors="replace")
    cached = [int(line.split(" from the cache")[0].split()[-1]) for line in out.splitlines() if "from the cache" in line]
    assert len(cached) == 2 and cached[0] == 0 and cached[1] > 20


def test_interrupt_ends_the_answer(home, tmp_path):
    import tiny_model
    from conftest import PROGRAM
    long = tmp_path / "long.gguf"
    tiny_model.write(str(long), n_ctx=65536)
    p = subprocess.Popen([PROGRAM, "run", "-m", long, "-p", "x", "-n", "-1", "--raw", "--ignore-eos", "--logit-bias=65=1000", "--temp", "0"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "HOME": str(home)}, bufsize=0)
    assert p.stdout.read(1) == b"A"
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=60)
    assert p.returncode == 1 and err == b"lathe: cancelled\n"
    assert out.count(b"A") < 65000


def test_bench_json(run, tiny):
    d = json.loads(ok(run("bench", "-m", tiny, "-p", "16,32", "-n", "8", "-t", "1", "-r", "3", "-b", "1,3", "--json", "--no-limits")))
    for key in ("prefill_tok_s", "decode_tok_s", "samples", "rss_mib", "load_ms"):
        assert key in d
    assert "prefill_share" not in d and "read_gb_s" not in d["samples"]
    assert len(d["samples"]["prefill_tok_s"]) == 3 and len(d["samples"]["decode_tok_s"]) == 3
    assert sorted(d["samples"]["decode_tok_s"])[1] == pytest.approx(d["decode_tok_s"], rel=1e-6)
    assert [(p["prompt"], p["batch"]) for p in d["points"]] == [(16, 1), (32, 1), (16, 3), (32, 3)]
    assert all(p["prefill_tok_s"] > 0 and p["decode_tok_s"] > 0 for p in d["points"])


def test_bench_limits(run, tiny):
    """Measured beside each repetition."""
    d = json.loads(ok(run("bench", "-m", tiny, "-p", "16", "-n", "8", "-t", "1", "-r", "2", "--json")))
    assert d["read_gb_s"] > 0.1 and d["int8_gop_s"] > 0.1 and d["repeat"] == 2
    assert all(len(d["samples"][key]) == 2 for key in ("read_gb_s", "int8_gop_s", "prefill_share", "decode_share"))
    assert 0 < d["prefill_share"] and 0 < d["decode_share"]


def test_machine_json(run):
    d = json.loads(ok(run("machine", "--json", "-t", "1")))
    assert d["read_gb_s"] > 0.1 and d["int8_gop_s"] > 0.1 and d["f32_gop_s"] > 0.1 and d["bf16_gop_s"] > 0.1 and d["isa"]
    assert d["cores"] >= d["usable_cores"] >= 1


def test_machine_without_hwloc(run, tmp_path):
    """A library that cannot be loaded is as good as none; one without hwloc's calls is not used."""
    inside = ("packages", "threads_per_core", "caches", "nodes")
    plain = run("machine", "--json", "-t", "1")
    built_with = json.loads(ok(plain))["packages"] is not None
    assert built_with == (b"not known" not in plain.stderr)
    library = tmp_path / "libhwloc.so.15"
    library.write_text("no library")
    env = {"LD_LIBRARY_PATH": str(tmp_path)}
    text = ok(run("machine", "-t", "1", env=env)).decode()
    line = [t for t in text.splitlines() if t.startswith("topology")]
    assert len(line) == 1 and "not known (" in line[0] and "package libhwloc" in line[0]
    assert "online" in text and "package," not in text and "cache " not in text and "node " not in text
    subprocess.run([shutil.which("cc") or "gcc", "-shared", "-x", "c", "/dev/null", "-o", library], check=True)
    r = run("machine", "--json", "-t", "1", env=env)
    d = json.loads(ok(r))
    assert all(d[key] is None for key in inside) and d["cores"] >= d["usable_cores"] >= 1 and d["read_gb_s"] > 0.1
    assert r.stderr.startswith(b"lathe: topology: not known (") and r.stderr.count(b"\n") == 1
    assert not built_with or b"has no hwloc_topology_init" in r.stderr


def test_perplexity(run, tiny, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the in hello quick brown fox jumps over the lazy dog " * 30)
    base = ["perplexity", "-m", tiny, "-f", text, "--json"]
    d = json.loads(ok(run(*base, "--chunks", "3")))
    assert d["n_token"] == 3 * 127 and d["chunks"] == 3 and 1 < d["ppl"] < 1e6 and 0 < d["ppl_stderr"] < d["ppl"]
    assert json.loads(ok(run(*base, "--chunks", "3", "-t", "3")))["ppl"] == d["ppl"]
    assert 0 < abs(json.loads(ok(run(*base, "--chunks", "3", "--exact")))["ppl"] - d["ppl"]) < 0.1 * d["ppl"]
    r = run(*base, "--chunks", "900")
    assert r.returncode == 2 and b"--chunks 900" in r.stderr


def test_profile_and_trace(run, tiny, tmp_path):
    d = json.loads(ok(run("profile", "-m", tiny, "-p", "32", "-n", "4", "--json", "--trace", tmp_path / "t.json")))
    for phase in ("prefill", "decode"):
        ops = d[phase]["operations"]
        assert ops and all(o["seconds"] >= 0 and o["calls"] > 0 for o in ops)
        assert sum(o["seconds"] for o in ops) <= 1.05 * d[phase]["seconds"] + 1e-4
    trace = json.loads((tmp_path / "t.json").read_text())["traceEvents"]
    assert {e["pid"] for e in trace} == {0, 1}
    assert any(e["ph"] == "X" and e["dur"] >= 0 for e in trace)


def test_selftest(run, tiny):
    d = json.loads(ok(run("selftest", "-m", tiny, "--json", "--sequences", "16")))
    assert d["passed"] and d["failed"] == 0 and len(d["tests"]) >= 6
    assert all(t["compared"] > 0 or t["note"] for t in d["tests"])


def test_kernels(run):
    d = json.loads(ok(run("kernels", "--json")))
    assert d["kernels"] and all(k["why"] for k in d["kernels"])
    assert any(k["chosen"] for k in d["kernels"])
    assert all(k["verdict"] in (("passed",) if k["available"] and k["isa"] != "c" else ("", "twin passed")) for k in d["kernels"])
    types = {k["weight"] for k in d["kernels"] if k["op"] == "tile_dot"}
    assert {"Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL", "IQ4_XS", "MXFP4", "IQ3_S", "IQ2_XXS", "IQ1_M", "TQ1_0"} <= types
    for isa in ("c", "avx2", "avxvnni", "avx512vnni", "amxint8", "neon", "dotprod", "i8mm"):  # wherever it is built
        assert {k["weight"] for k in d["kernels"] if k["op"] == "tile_dot" and k["isa"] == isa} == types, isa
    masked = json.loads(ok(run("kernels", "--json", env={"LATHE_CPU": "c"})))
    assert all(k["isa"] == "c" for k in masked["kernels"] if k["chosen"])
    wide = [k for k in d["kernels"] if k["available"] and k["isa"] != "c"]
    for k in d["kernels"]:
        rivals = [o for o in wide if (o["op"], o["weight"], o["class"]) == (k["op"], k["weight"], k["class"])]
        if not k["available"]:
            elsewhere = (k["isa"] in ("neon", "dotprod", "i8mm")) == (platform.machine() == "x86_64")
            elsewhere |= k["isa"] in ("avxvnni", "amxint8", "amxbf16") and bool(os.environ.get("LATHE_CHECK_KIND"))
            assert k["why"] == ("not in this build" if elsewhere else "not on this CPU") and not k["chosen"] and k["cost_many_us"] == 0
            continue
        assert k["cost_one_us"] > 0 and k["cost_many_us"] > 0
        if k["class"] == "native":  # not by cost: each has bits of its own
            words = "specifies" if k["isa"] == "c" else "--precision native" if k["chosen"] else "a wider row"
            assert words in k["why"] and (k["isa"] == "c" or k["chosen"] == (k is rivals[-1])), k
        elif not k["chosen"]:
            assert k["why"] == ("a cheaper row is at hand" if k["isa"] != "c" else "a faster row is at hand")
        elif len(rivals) < 2:
            assert k["why"] == ("the only row at hand that passed its check" if k["isa"] != "c" else "the only row at hand")
        else:
            # Of those whose costs differ by more than noise does, the chosen one is the cheapest of its load.
            one, many = (min(o[c] for o in rivals) for c in ("cost_one_us", "cost_many_us"))
            words = {"cheapest": k["cost_one_us"] <= one * 1.07 and k["cost_many_us"] <= many * 1.07,
                     "cheapest for one token": k["cost_one_us"] <= one * 1.07, "cheapest for many tokens": k["cost_many_us"] <= many * 1.07}
            assert words[k["why"].removesuffix(", passed its check")]
    for op, weight in {(k["op"], k["weight"]) for k in d["kernels"]}:
        assert sum(k["chosen"] for k in d["kernels"] if (k["op"], k["weight"], k["class"]) == (op, weight, "portable")) in (1, 2)
    text = ok(run("kernels")).decode()
    assert ("passed its check" in text) == bool(wide) and "failed" not in text


def kept_rows(text):
    """Verdict and costs of each row in a file of verdicts."""
    assert text.startswith("lathe kernels 2\n")
    return {name: (verdict, int(one), int(many)) for verdict, name, one, many in (line.split() for line in text.splitlines()[3:-1])}


def test_kernel_verdicts_are_kept(run, tiny, tmp_path):
    """Checked and measured once for a CPU and build, by whichever command comes first; never written where nothing may be."""
    rows = json.loads(ok(run("kernels", "--json", env={"LATHE_NO_CACHE": "1", "XDG_CACHE_HOME": str(tmp_path)})))["kernels"]
    assert not list(tmp_path.iterdir())
    wide = {k["name"]: (k["op"], k["weight"]) for k in rows if k["available"] and k["isa"] != "c" and k["class"] == "portable"}
    ask = ["run", "-m", tiny, "-p", "x", "-n", "4", "--temp", "0"]
    cache = tmp_path / "c"
    want = ok(run(*ask, "--cache-dir", cache))
    files = list((cache / "kernels").iterdir()) if wide else []
    assert len(files) == bool(wide)
    for f in files:
        text = f.read_text()
        kept = kept_rows(text)
        assert {v for v, _, _ in kept.values()} <= {"passed", "timed"}
        assert {wide[n] for n, k in kept.items() if k[0] == "passed" and n in wide} == set(wide.values())
        for name, (_, one, many) in kept.items():  # several rows of an operation are measured, one alone is not
            assert (one > 0 and many > 0) == (sum(w == wide.get(name) for w in wide.values()) > 1), name
        before = f.stat().st_mtime_ns, f.stat().st_ino
        ok(run("kernels", env={"LATHE_CACHE_DIR": str(cache)}))
        assert ok(run(*ask, "--cache-dir", cache)) == want
        assert (f.stat().st_mtime_ns, f.stat().st_ino) == before
        f.write_text(text.replace("passed ", "failed ", 1))  # not what was written: checked again
        r = run(*ask, "--cache-dir", cache)
        assert ok(r) == want and b"failed" not in r.stderr and kept_rows(f.read_text()).keys() == kept.keys()
        costs = {name: k[1:] for name, k in kept_rows(f.read_text()).items()}
        masked = run("kernels", env={"LATHE_CACHE_DIR": str(cache), "LATHE_CPU": "avx2"})
        after = kept_rows(f.read_text())
        assert b"passed its check" in ok(masked) and {name: k[1:] for name, k in after.items()} == costs
        assert {wide[n] for n, k in after.items() if k[0] == "passed" and n.endswith("avx2")} == {wide[n] for n in wide if n.endswith("avx2")}
        assert list((cache / "kernels").iterdir()) == files


def test_version(run):
    text, d = ok(run("--version")).decode(), json.loads(ok(run("version", "--json")))
    assert text.startswith(f"lathe {d['version']} ({d['isa']})\n") and set(d["parts"]) == {"server", "pull", "config", "edit", "topology"}
    lacks = run("key", "new", "a").returncode != 0
    assert lacks != d["parts"]["server"] and ("\nwithout: server" in text) == lacks and ("\nwith: server" in text) != lacks


LONG = "the in hello quick brown fox jumps over the lazy dog " * 5


@pytest.mark.parametrize("kv, open_as", [("q8_0", "f16"), ("q4", "f16"), ("q8_0:q4", "f16"), ("f16:q4", "f16"), ("q4:bf16", "f16:bf16")])
def test_integers_of_the_cache_are_the_same_however_it_is_filled(run, tiny, tmp_path, kv, open_as):
    args = ["run", "-m", tiny, "-p", LONG, "-n", "6", *GREEDY]
    texts = []
    for i, how in enumerate(([], ["--chunk", "1"], ["--chunk", "50", "-t", "3"], ["--fusion", "off"])):
        texts.append(ok(run(*args, "--kv-type", kv, *how, "--dump-logits", tmp_path / str(i))))
        assert (tmp_path / str(i)).read_text() == (tmp_path / "0").read_text() and texts[i] == texts[0]
    ok(run(*args, "--kv-type", open_as, "--dump-logits", tmp_path / "open"))
    lines, floats = ((tmp_path / name).read_text().splitlines() for name in ("0", "open"))
    assert len(lines) == len(floats) > 100 and lines[:64] == floats[:64] and lines[64:] != floats[64:]


def test_types_of_the_cache(run, tiny):
    for value in ("q5", "q4:", ":q4", "q4:q8_0:f16", "Q4", ""):
        r = run("run", "-m", tiny, "-p", "x", f"--kv-type={value}")
        assert r.returncode == 2 and r.stdout == b"" and f"--kv-type '{value}' is not f16, bf16, q8_0 or q4, or two of them".encode() in r.stderr
    shown = ok(run("config", "show", env={"LATHE_KV_TYPE": "q8_0:q4"})).decode()
    assert 'kv-type: "q8_0:q4"' in shown
    args = ["run", "-m", tiny, "-p", LONG, "-n", "6", *GREEDY, "--exact"]
    assert ok(run(*args, "--kv-type", "q4")) == ok(run(*args))
