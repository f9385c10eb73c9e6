#!/usr/bin/env python3
"""The figures of `lathe serve`, from a client's side, on an otherwise idle machine. Only the standard library.

  serve.py MODEL                                  1, 4 and 16 clients in a closed loop: 240 tokens in, 64 out
  serve.py MODEL --trace azure_2023_conv.csv      also a trace at its own arrival times, as many times faster as this machine can bear

Prompts are token ids, so that counts are exact, and no two begin alike. Times are milliseconds. Prints one JSON object:
out_tok_s, in_tok_s; ttft, gap (between tokens of one answer): p50, p99; cpu_s_per_token: of the server, by generated token;
ready_ms: process start to the line that says where it serves, first and second start; peak_kib: VmHWM of the server. Of the trace:
goodput, the share of requests whose first token came within --slo-ttft and whose mean gap is within --slo-gap.
Arguments behind -- go to lathe serve, such as -- --memory 400M.
"""
import argparse, asyncio, csv, datetime, json, random, sys, time

from serving import Server, ask, ids, percentile


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("model")
    p.add_argument("--clients", default="1,4,16")
    p.add_argument("-n", type=int, default=4, help="requests of each client")
    p.add_argument("--prompt", type=int, default=240)
    p.add_argument("--out", type=int, default=64)
    p.add_argument("--vocab", type=int, default=2000, help="prompts are made of ids from 200 to this")
    p.add_argument("--trace", help="CSV with TIMESTAMP, ContextTokens, GeneratedTokens")
    p.add_argument("--count", type=int, default=100, help="requests of the trace")
    p.add_argument("--load", type=float, default=0.7, help="share of the measured capacity that the trace offers")
    p.add_argument("--max-prompt", type=int, default=1024)
    p.add_argument("--max-out", type=int, default=128)
    p.add_argument("--slo-ttft", type=float, default=2000)
    p.add_argument("--slo-gap", type=float, default=100)
    p.add_argument("serve", nargs="*", help="arguments of lathe serve")
    own, _, rest = (" ".join(sys.argv[1:]) + " ").partition(" -- ")
    a = p.parse_args(own.split())
    a.serve += rest.split()
    return a


def summary(answers, wall, n_prompt_token, cpu_s):
    n = sum(map(len, answers))
    gaps = [b - a for t in answers for a, b in zip(t, t[1:])]
    return dict(requests=len(answers), wall_s=round(wall, 2), out_tok_s=round(n / wall, 1), in_tok_s=round(n_prompt_token / wall, 1),
                ttft_p50=percentile([t[0] for t in answers], 0.5), ttft_p99=percentile([t[0] for t in answers], 0.99),
                gap_p50=percentile(gaps, 0.5), gap_p99=percentile(gaps, 0.99), cpu_s_per_token=round(cpu_s / n, 5))


async def closed_loop(server, a, n_client, rng):
    answers, cpu, began = [], server.cpu_s(), time.perf_counter()

    async def client():
        for _ in range(a.n):
            answers.append(await ask(server, ids(rng, a.prompt, a.vocab), a.out))
    await asyncio.gather(*(client() for _ in range(n_client)))
    return summary(answers, time.perf_counter() - began, a.prompt * len(answers), server.cpu_s() - cpu)


def read_trace(a):
    """[(second, prompt tokens, tokens to generate)], lengths bounded."""
    rows = [r for _, r in zip(range(a.count), csv.DictReader(open(a.trace)))]
    stamps = [datetime.datetime.fromisoformat(r["TIMESTAMP"][:26]).timestamp() for r in rows]
    return [(t - stamps[0], min(a.max_prompt, max(1, int(r["ContextTokens"]))), min(a.max_out, max(1, int(r["GeneratedTokens"]))))
            for t, r in zip(stamps, rows)]


async def replay(server, a, levels, rng):
    """Open loop. One request takes the machine what its tokens take at the measured rates, many at once."""
    trace, most = read_trace(a), levels[max(levels)]
    prefill = 1e3 * a.prompt / levels[min(levels)]["ttft_p50"]
    decode = a.out / max(1e-9, (a.prompt + a.out) / (most["in_tok_s"] + most["out_tok_s"]) - a.prompt / prefill)
    needed = sum(p / prefill + n / decode for _, p, n in trace)
    speed = a.load * trace[-1][0] / needed
    answers, cpu, began = [], server.cpu_s(), time.perf_counter()

    async def at(when, n_prompt, n):
        await asyncio.sleep(max(0, when / speed - (time.perf_counter() - began)))
        answers.append(await ask(server, ids(rng, n_prompt, a.vocab), n))
    await asyncio.gather(*(at(*row) for row in trace))
    good = [t for t in answers if 1e3 * t[0] <= a.slo_ttft and 1e3 * (t[-1] - t[0]) / max(1, len(t) - 1) <= a.slo_gap]
    out = summary(answers, time.perf_counter() - began, sum(p for _, p, _ in trace), server.cpu_s() - cpu)
    return dict(out, speed=round(speed, 2), load=a.load, slo_ttft=a.slo_ttft, slo_gap=a.slo_gap, goodput=round(len(good) / len(answers), 3))


async def main():
    a, rng, levels = arguments(), random.Random(0), {}
    first = Server(a.model, *a.serve)
    first.stop()
    server = Server(a.model, *a.serve)
    await ask(server, ids(rng, a.prompt, a.vocab), a.out)
    for n in map(int, a.clients.split(",")):
        levels[n] = await closed_loop(server, a, n, rng)
    out = dict(plan=server.plan, ready_ms=dict(first=round(first.ready_ms, 1), second=round(server.ready_ms, 1)), clients=levels)
    if a.trace:
        out["trace"] = await replay(server, a, levels, rng)
    out["peak_kib"] = server.peak_kib()
    server.stop()
    print(json.dumps(out, indent=1))


asyncio.run(main())
