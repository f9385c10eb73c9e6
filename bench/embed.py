#!/usr/bin/env python3
"""Speed of embedding lines of text, against sentence-transformers and OpenVINO:

    embed.py MODEL LINES [--python VENV/bin/python] [--openvino DIR] [--rounds N] [--json]

MODEL is the folder of a sentence-transformers encoder, LINES a file with a text a line. --python is an interpreter that has
sentence-transformers, openvino and transformers (pip install sentence-transformers openvino); --openvino the model as OpenVINO has it
(optimum-cli export openvino -m MODEL --task feature-extraction DIR). Who takes part runs in turn, forwards and backwards (A-B-B-A). `steady` is
from the first line to the last vector of a process that is warm, the best of its passes; of others with the best of its batch sizes. `process` is
the whole of a process: start, load, one pass, measured once. The cosines are to sentence-transformers in f32, or without it to --exact.
"""
import argparse, json, math, subprocess, sys, threading, time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PEERS = {
    "torch": """
from sentence_transformers import SentenceTransformer
m = SentenceTransformer(model, device="cpu")
sizes = [16, 32, 64, 128]
def embed(size): return m.encode(texts, batch_size=size, normalize_embeddings=True)
""",
    "openvino": """
import numpy as np, openvino as ov
from transformers import AutoTokenizer
tok = AutoTokenizer.from_pretrained(model)
config = {"PERFORMANCE_HINT": "LATENCY", **({"INFERENCE_PRECISION_HINT": "f32"} if precision == "f32" else {})}
net = ov.Core().compile_model(openvino + "/openvino_model.xml", "CPU", config)
sizes = [8, 16, 32, 64]
def embed(size):
    ids = tok(texts, truncation=True, max_length=longest)["input_ids"]
    order, out = sorted(range(len(ids)), key=lambda i: len(ids[i])), None
    for b in range(0, len(ids), size):
        part = order[b:b + size]
        x = np.zeros((len(part), max(len(ids[i]) for i in part)), np.int64)
        mask = np.zeros_like(x)
        for k, i in enumerate(part):
            x[k, :len(ids[i])], mask[k, :len(ids[i])] = ids[i], 1
        h = net({"input_ids": x, "attention_mask": mask, "token_type_ids": np.zeros_like(x)})[0]
        v = (h * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        out = np.zeros((len(ids), v.shape[1]), np.float32) if out is None else out
        out[part] = v / np.linalg.norm(v, axis=1, keepdims=True)
    return out
"""}
MEASURE = """
import json, sys, time
model, openvino, precision, longest, path, all_sizes = json.loads(sys.argv[1])
texts = open(path).read().splitlines()
{setup}
once = embed(sizes[1]) if all_sizes else embed(32)
best = []
for size in sizes if all_sizes else []:
    for _ in range(3):
        start = time.perf_counter(); embed(size); best.append((time.perf_counter() - start, size))
print(json.dumps(dict(best=min(best) if best else None, vectors=once.tolist() if all_sizes else None)))
"""


def peer(o, kind, precision, longest):
    def run(whole):
        args = json.dumps([o.model, o.openvino, precision, longest, o.lines, not whole])
        start = time.perf_counter()
        r = subprocess.run([o.python, "-c", MEASURE.replace("{setup}", PEERS[kind]), args], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        seconds = time.perf_counter() - start
        answer = json.loads(r.stdout.splitlines()[-1])
        return (seconds, None, None) if whole else (answer["best"][0], answer["vectors"], f"batch {answer['best'][1]}")
    return run


def lathe(o, *options):
    command = [o.program, "embed", "-m", o.model, "--json", "--truncate", *options]
    lines = Path(o.lines).read_bytes().splitlines(keepends=True)
    def run(whole):
        if whole:
            start = time.perf_counter()
            with open(o.lines, "rb") as f:
                subprocess.run(command, stdin=f, stdout=subprocess.DEVNULL, check=True)
            return time.perf_counter() - start, None, None
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1 << 20) as p:
            seconds = []
            for _ in range(4):  # the first is to get warm
                start = time.perf_counter()
                feed = threading.Thread(target=lambda: (p.stdin.write(b"".join(lines)), p.stdin.flush()))
                feed.start()  # beside the reading: either pipe may be full
                vectors = [p.stdout.readline() for _ in lines]
                feed.join()
                seconds.append(time.perf_counter() - start)
            p.stdin.close()
        return min(seconds[1:]), [json.loads(v) for v in vectors], None
    return run


def cosine(a, b):
    dot, aa, bb = (math.fsum(x * y for x, y in zip(u, v)) for u, v in ((a, b), (a, a), (b, b)))
    return dot / math.sqrt(aa * bb)


def main():
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument("model")
    a.add_argument("lines")
    a.add_argument("--python")
    a.add_argument("--openvino")
    a.add_argument("--rounds", type=int, default=1)
    a.add_argument("--json", action="store_true")
    a.add_argument("--program", default=str(ROOT / "build/lathe"))
    o = a.parse_args()
    config = Path(o.model, "sentence_bert_config.json")
    longest = json.loads(config.read_text())["max_seq_length"] if config.exists() else 512
    who = {"lathe": lathe(o), "lathe --load-as q8_0": lathe(o, "--load-as", "q8_0")}
    if o.python:
        who["sentence-transformers (torch, f32)"] = peer(o, "torch", "", longest)
    if o.python and o.openvino:
        who["OpenVINO (its default, bf16 where the CPU has it)"] = peer(o, "openvino", "", longest)
        who["OpenVINO (f32)"] = peer(o, "openvino", "f32", longest)
    got = {name: {"steady": [], "process": [], "note": "", "vectors": None} for name in who}
    for _ in range(o.rounds):
        for name in [*who, *reversed(who)]:
            seconds, vectors, note = who[name](False)
            got[name]["steady"].append(seconds)
            got[name].update(vectors=vectors, note=note or "")
            if not got[name]["process"]:
                got[name]["process"].append(who[name](True)[0])
    torch = got.get("sentence-transformers (torch, f32)")
    want = torch["vectors"] if torch else lathe(o, "--exact")(False)[1]
    n = len(want)
    for name, g in got.items():
        cosines = [cosine(x, y) for x, y in zip(want, g.pop("vectors"))]
        g.update(per_s=n / min(g["steady"]), cosine_min=min(cosines), cosine_mean=math.fsum(cosines) / n)
        print(f"{name:50} {g['per_s']:7.0f} lines/s   steady {' '.join(f'{s:.3f}' for s in g['steady'])} s   process {min(g['process']):.2f} s   "
              f"cosine min {g['cosine_min']:.6f} mean {g['cosine_mean']:.6f}   {g['note']}", file=sys.stderr)
    if o.json:
        print(json.dumps(got))


if __name__ == "__main__":
    main()
