#!/usr/bin/env python3
"""The figures of docs/PERFORMANCE.md, each by one command; all run on an otherwise idle machine.

  figures.py limits                           the probe and `lathe machine` in turn, how far they agree
  figures.py versus MODEL --peers DIR         other engines (peers.py run DIR) and lathe in turn A-B-B-A, with limits before and after
  figures.py hog MODEL                        one busy process on one core: what is kept of the quiet one-thread speed
  figures.py batch MODEL                      a pass over 1, 4 and 8 tokens against T = weight bytes / (0.85 x read bandwidth)
  figures.py context MODEL                    a decode step at 8k against 128 tokens; prefill of 8192 against 16 x prefill of 512
  figures.py start MODEL                      process start to the end of the first token, page cache warm, layout cached
  figures.py threads MODEL                    speed at 1 and 2 threads against the int8 probe's own ratio

Prints one JSON object.
"""
import argparse, json, os, shlex, statistics, subprocess, sys, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LATHE, PROBE = str(ROOT / "build/lathe"), str(ROOT / "build/probe")
median = statistics.median


def call(*args):
    return json.loads(subprocess.run(list(map(str, args)), stdout=subprocess.PIPE, check=True).stdout)


def probe(threads):
    return call(PROBE, "-t", threads)


def bench(model, threads, *args):
    return call(LATHE, "bench", "-m", model, "-t", threads, "--json", "--no-limits", *args)


def limits(a):
    runs = {"probe": [], "lathe": []}
    for name in ("probe", "lathe", "lathe", "probe") * a.rounds:
        runs[name].append(probe(a.t) if name == "probe" else call(LATHE, "machine", "-t", a.t, "--json"))
    out = {}
    for key in ("read_gb_s", "int8_gop_s", "bf16_gop_s", "f32_gop_s"):
        p, m = (median(r[key] for r in runs[n]) for n in ("probe", "lathe"))
        out[key] = {"probe": p, "lathe": m, "ratio": m / p, "samples": {n: [r[key] for r in runs[n]] for n in runs}}
    return out


def versus(a):
    shared = os.environ.get("LATHE_SHARED", str(ROOT.parent / "shared"))
    peers = a.script or f"{shared}/tools/peers.py"
    before, ours, theirs = probe(a.t), [], {}
    for who in "ABBA" * a.rounds:
        if who == "A":
            ours.append(bench(a.model, a.t, "-p", a.p, "-n", a.n, "-r", a.r))
            continue
        sizes = [str(x) for x in (a.model, "-t", a.t, "-p", a.p, "-n", a.n, "-r", a.r)]
        for command in [[sys.executable, peers, "run", a.peers]] + [shlex.split(c) for c in a.also]:
            r = subprocess.run(command + sizes, stdout=subprocess.PIPE, text=True, check=True)
            for line in filter(lambda l: l.startswith("{"), r.stdout.splitlines()):
                d = json.loads(line)
                theirs.setdefault(d["engine"], []).append(d)
    after = probe(a.t)
    b = ours[0]
    limit = {k: median([before[k], after[k]]) for k in ("read_gb_s", "int8_gop_s")}
    pp, tg = (median(o[k] for o in ours) for k in ("prefill_tok_s", "decode_tok_s"))
    best = {k: max((median(d[k] for d in v if k in d) for v in theirs.values() if any(k in d for d in v)), default=None) for k in ("pp", "tg")}
    return {"lathe": {"prefill_tok_s": pp, "decode_tok_s": tg, "prefill_share": pp * b["ops_per_token"] / (limit["int8_gop_s"] * 1e9),
                      "decode_share": tg * b["weight_bytes"] / (limit["read_gb_s"] * 1e9), "rss_mib": b["rss_mib"], "load_ms": b["load_ms"]},
            "peers": theirs, "prefill_over_best_peer": pp / best["pp"] if best["pp"] else None,
            "decode_over_best_peer": tg / best["tg"] if best["tg"] else None, "limits": {"before": before, "after": after},
            "samples": [o["samples"] for o in ours]}


def hog(a):
    cores = sorted(os.sched_getaffinity(0))
    def speed(threads):
        return bench(a.model, threads, "-p", a.p, "-n", a.n, "-r", a.r)["decode_tok_s"]
    one = [speed(1)]
    busy = subprocess.Popen([sys.executable, "-c", f"import os\nos.sched_setaffinity(0, {{{cores[-1]}}})\nwhile True: pass"])
    try:
        time.sleep(0.5)
        with_hog = [speed(a.t) for _ in range(2 * a.rounds)]
    finally:
        busy.kill()
        busy.wait()
    one.append(speed(1))
    return {"quiet_one_thread": one, "with_hog": with_hog, "kept": median(with_hog) / median(one), "quiet_all_threads": speed(a.t)}


def batch(a):
    before = probe(a.t)
    d = bench(a.model, a.t, "-p", 64, "-n", 64, "-b", "1,4,8", "-r", a.r)
    after = probe(a.t)
    read = median([before["read_gb_s"], after["read_gb_s"]]) * 1e9
    t_ms = d["weight_bytes"] / (0.85 * read) * 1e3
    return {"t_ms": t_ms, "read_gb_s": [before["read_gb_s"], after["read_gb_s"]],
            "passes": {p["batch"]: {"step_ms": p["step_ms"], "times_t": p["step_ms"] / t_ms} for p in d["points"]}}


def context(a):
    before = probe(a.t)
    d = bench(a.model, a.t, "-p", "128,512,8000", "-n", 32, "-r", a.r)
    after = probe(a.t)
    p = {x["prompt"]: x for x in d["points"]}
    prefill = {n: n / x["prefill_tok_s"] for n, x in p.items()}
    return {"step_ms": {n: x["step_ms"] for n, x in p.items()}, "step_8000_minus_128_ms": p[8000]["step_ms"] - p[128]["step_ms"],
            "prefill_s": prefill, "beyond_linear_s": prefill[8000] - 8000 / 512 * prefill[512],
            "limits": {k: median([before[k], after[k]]) for k in ("read_gb_s", "f32_gop_s")}}


def start(a):
    times = []
    for i in range(a.r + 2):
        t = time.perf_counter()
        p = subprocess.Popen([LATHE, "run", "-m", a.model, "-t", str(a.t), "-p", "Once upon a time", "--raw", "--temp", "0", "-n", "1"],
                             stdout=subprocess.PIPE)
        p.stdout.read(1)
        times.append((time.perf_counter() - t) * 1e3)
        p.communicate()
    return {"first_token_ms": median(times[2:]), "samples": times[2:]}


def threads(a):
    probes = {t: probe(t)["int8_gop_s"] for t in (1, 2)}
    speeds = {t: bench(a.model, t, "-p", a.p, "-n", a.n, "-r", a.r) for t in (1, 2)}
    ratio = speeds[2]["prefill_tok_s"] / speeds[1]["prefill_tok_s"]
    return {"int8_ratio": probes[2] / probes[1], "prefill_ratio": ratio, "share_of_ratio": ratio / (probes[2] / probes[1]),
            "decode_ratio": speeds[2]["decode_tok_s"] / speeds[1]["decode_tok_s"]}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = {f.__name__: f for f in (limits, versus, hog, batch, context, start, threads)}
    p.add_argument("verb", choices=verbs)
    p.add_argument("model", nargs="?")
    p.add_argument("--peers", help="folder that peers.py setup made")
    p.add_argument("--also", action="append", default=[], metavar="CMD", help="versus: a further engine, e.g. 'VENV/bin/python bench/peer_ik.py'")
    p.add_argument("--script", help="peers.py; default: tools/peers.py of LATHE_SHARED or ../shared")
    for flag, default in (("-t", os.cpu_count()), ("-p", 512), ("-n", 128), ("-r", 5), ("--rounds", None)):
        p.add_argument(flag, type=int, default=default)
    a = p.parse_args()
    a.rounds = a.rounds or (5 if a.verb == "limits" else 1)  # the limits move within minutes: many pairs
    if a.verb != "limits" and not a.model or a.verb == "versus" and not a.peers:
        p.error(f"{a.verb} needs a model" + (" and --peers DIR" if a.verb == "versus" else ""))
    print(json.dumps(verbs[a.verb](a), indent=1))


if __name__ == "__main__":
    main()
