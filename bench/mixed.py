#!/usr/bin/env python3
"""What requests do to each other in `lathe serve`, on an otherwise idle machine. Only the standard library.

  mixed.py MODEL [gap] [flood] [share] [shared] [chat]      the scenarios named, or all

gap     four streams decode while prompts of 2048 tokens arrive every 3, 2, 1.2 s: gaps between the streams' tokens, quiet first
flood   one key sends prompts of 2048 from 16 clients, another asks for 240 / 32 now and then: the other's time to first token
share   two equal keys, 16 against 2 clients, 240 / 64, four sequences at once: tokens that each was served
shared  1000 tokens that all prompts begin with and 32 of their own, one client, against 32 tokens alone
chat    a conversation that grows by 100 tokens a turn

Times are milliseconds. Prints one JSON object. Arguments behind -- go to lathe serve, such as -- --memory 400M --parallel 4.
"""
import asyncio, json, random, statistics, subprocess, sys, tempfile, time
from pathlib import Path

from serving import PROGRAM, Server, ask, ids, percentile

VOCAB, SECONDS = 2000, 20
rng = random.Random(0)


def prompt(n):
    return ids(rng, n, VOCAB)


async def until(stop, task):
    while time.perf_counter() < stop:
        await task()


async def gap(server, keys):
    out = {}
    for every in (None, 3.0, 2.0, 1.2):
        gaps, first, stop = [], [], time.perf_counter() + SECONDS

        async def stream():
            t = await ask(server, prompt(20), 100, keys[0])
            gaps.extend(b - a for a, b in zip(t, t[1:]))

        async def long_prompt():
            first.append((await ask(server, prompt(2048), 4, keys[0]))[0])

        async def arrivals():
            running = []
            while every and time.perf_counter() < stop:
                running.append(asyncio.create_task(long_prompt()))
                await asyncio.sleep(every)
            await asyncio.gather(*running)
        await asyncio.gather(arrivals(), *(until(stop, stream) for _ in range(4)))
        out[f"every {every} s" if every else "quiet"] = dict(
            gap_p50=percentile(gaps, 0.5), gap_p90=percentile(gaps, 0.9), gap_p99=percentile(gaps, 0.99), prompts=len(first), ttft_p50=percentile(first, 0.5))
    return out


async def flood(server, keys):
    out = {}
    for n_flood in (0, 16):
        first, stop = [], time.perf_counter() + SECONDS

        async def other():
            first.append((await ask(server, prompt(240), 32, keys[1]))[0])
            await asyncio.sleep(0.2)
        await asyncio.gather(*(until(stop, other) for _ in range(2)), *(until(stop, lambda: ask(server, prompt(2048), 16, keys[0])) for _ in range(n_flood)))
        out[f"{n_flood} clients flood"] = dict(requests=len(first), ttft_p50=percentile(first, 0.5), ttft_p99=percentile(first, 0.99))
    return out


async def share(server, keys):
    served, stop = {key: 0 for key in keys}, time.perf_counter() + SECONDS

    def client(key):
        async def one():
            await ask(server, prompt(240), 64, key)
            served[key] += 304 * (time.perf_counter() < stop)
        return until(stop, one)
    await asyncio.gather(*(client(keys[0]) for _ in range(16)), *(client(keys[1]) for _ in range(2)))
    return dict(of_16=served[keys[0]], of_2=served[keys[1]], ratio=round(served[keys[1]] / served[keys[0]], 3))


async def shared(server, keys):
    common, alone, behind = prompt(1000), [], []
    await ask(server, common + prompt(32), 8, keys[0])
    for _ in range(15):
        alone.append((await ask(server, prompt(32), 8, keys[0]))[0])
        behind.append((await ask(server, common + prompt(32), 8, keys[0]))[0])
    alone, behind = statistics.median(alone), statistics.median(behind)
    return dict(ttft_cold_32=round(1e3 * alone, 1), ttft_behind_1000=round(1e3 * behind, 1), ratio=round(behind / alone, 2))


async def chat(server, keys):
    """An answer's tokens are not sent back: the turn's new tokens are all in its prompt."""
    text, turns = prompt(100), []
    for _ in range(16):
        first = (await ask(server, text, 16, keys[0]))[0]
        turns.append(dict(behind=len(text) - 100, ttft=round(1e3 * first, 1)))
        text = text + prompt(100)
    return turns


async def main():
    own, _, rest = " ".join(sys.argv[1:]).partition(" -- ")
    model, *names = own.split()
    known = {f.__name__: f for f in (gap, flood, share, shared, chat)}
    out = {}
    with tempfile.TemporaryDirectory() as folder:
        made = [json.loads(subprocess.run([PROGRAM, "key", "new", name, "--json"], stdout=subprocess.PIPE, check=True).stdout) for name in ("one", "two")]
        lines, keys = Path(folder) / "keys", [m["key"] for m in made]
        lines.write_text("".join(m["line"] + "\n" for m in made))
        lines.chmod(0o600)
        for name in names or known:
            server = Server(model, "--keys", lines, *(["--parallel", 4] if name == "share" else []), *rest.split())
            await ask(server, prompt(300), 8, keys[0])
            out[name] = await known[name](server, keys)
            server.stop()
    print(json.dumps(out, indent=1))


if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
    print(__doc__)
else:
    asyncio.run(main())
