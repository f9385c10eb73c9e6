#!/usr/bin/env python3
"""What quantized files cost, computed by another program: llama-cpp-python runs the reference and every candidate.

  quantize.py kl REFERENCE CANDIDATE... -f TEXT [-f TEXT ...] [--chunks 12] [--ctx 512]
      Mean Kullback-Leibler divergence (nats a token, all positions of each chunk) and perplexity of each candidate on each text.
  quantize.py tokens CANDIDATE... -f TEXT [--prompts 20] [-n 16]
      Greedy tokens of both programs behind pieces of the text: prompts whose n tokens are all the same; of the
      others the first that differs, and how far llama.cpp's likeliest logit is ahead of lathe's there.
  quantize.py llama MODEL OUT TYPE [--imatrix FILE]
      The other program's own quantizer, Q4_0 IQ4_NL Q3_K_M Q2_K Q4_K_M ..., with an importance matrix in GGUF.
  quantize.py speed MODEL TYPE [-r 3]
      Seconds of both quantizers in turn A-B-B-A on 2 threads.

Needs llama-cpp-python, numpy and gguf (PyPI). Prints one JSON object a line.
"""
import argparse, ctypes, json, statistics, subprocess, tempfile, time
from pathlib import Path

import numpy as np
import llama_cpp as L

LATHE = str(Path(__file__).resolve().parent.parent / "build/lathe")
QUIET = L.llama_log_callback(lambda *_: None)  # kept: the library holds only the pointer
L.llama_log_set(QUIET, ctypes.c_void_p(0))
L.llama_backend_init()


class Model:
    def __init__(self, path, n_ctx):
        mp = L.llama_model_default_params()
        mp.use_extra_bufts = False  # its AMX path ends in SIGSEGV on some machines
        self.model = L.llama_model_load_from_file(str(path).encode(), mp)
        p = L.llama_context_default_params()
        p.n_ctx = p.n_batch = p.n_ubatch = p.n_outputs_max = p.n_outputs_max_per_seq = n_ctx
        p.n_threads = p.n_threads_batch = 2
        self.context = L.llama_init_from_model(self.model, p)
        self.vocab = L.llama_model_get_vocab(self.model)
        self.n_vocab = L.llama_vocab_n_tokens(self.vocab)

    def close(self):
        L.llama_free(self.context)
        L.llama_model_free(self.model)

    def ids(self, text):
        room = (L.llama_token * (len(text) + 16))()
        n = L.llama_tokenize(self.vocab, text, len(text), room, len(room), True, False)
        return list(room[:n])

    def logits(self, ids):
        L.llama_memory_clear(L.llama_get_memory(self.context), True)
        b = L.llama_batch_init(len(ids), 0, 1)
        b.n_tokens = len(ids)
        for i, t in enumerate(ids):
            b.token[i], b.pos[i], b.n_seq_id[i], b.logits[i] = t, i, 1, 1
            b.seq_id[i][0] = 0
        if L.llama_decode(self.context, b):
            raise SystemExit("llama_decode failed")
        out = np.ctypeslib.as_array(L.llama_get_logits(self.context), (len(ids), self.n_vocab)).copy()
        L.llama_batch_free(b)
        return out


def log_softmax(x):
    x = x - x.max(axis=1, keepdims=True)
    return x - np.log(np.exp(x).sum(axis=1, keepdims=True))


def chunks_of(model, path, n_chunk, n_ctx):
    ids = model.ids(Path(path).read_bytes()[:64 * n_chunk * n_ctx])
    first = ids[0]
    out = [ids[i * n_ctx:(i + 1) * n_ctx] for i in range(min(n_chunk, len(ids) // n_ctx))]
    if L.llama_vocab_get_add_bos(model.vocab):
        out = [[first] + c[1:] for c in out]
    return out


def kl(a):
    reference = Model(a.reference, a.ctx)
    for text in a.file:
        chunks = chunks_of(reference, text, a.chunks, a.ctx)
        with tempfile.TemporaryFile() as kept:
            for c in chunks:
                kept.write(log_softmax(reference.logits(c)).astype(np.float32).tobytes())
            for path in a.candidates:
                kept.seek(0)
                m, divergence, nll = Model(path, a.ctx), [], []
                for c in chunks:
                    want = np.frombuffer(kept.read(4 * len(c) * m.n_vocab), np.float32).reshape(len(c), m.n_vocab)
                    got = log_softmax(m.logits(c))
                    divergence += list((np.exp(want) * (want - got)).sum(axis=1))
                    nll += [-got[i, c[i + 1]] for i in range(len(c) - 1)]
                m.close()
                print(json.dumps({"file": str(path), "bytes": Path(path).stat().st_size, "text": Path(text).name, "tokens": len(divergence),
                                  "kl_mean": float(np.mean(divergence)), "kl_error": float(np.std(divergence) / len(divergence) ** 0.5),
                                  "ppl": float(np.exp(np.mean(nll)))}), flush=True)


def tokens(a):
    for path in a.candidates:
        m, same, differ = Model(path, a.ctx), 0, []
        data = Path(a.file[0]).read_bytes()
        for i in range(a.prompts):
            prompt = data[len(data) // a.prompts * i:][:400].decode(errors="ignore").strip()
            run = subprocess.run([LATHE, "run", "-m", str(path), "--raw", "--temp", "0", "-n", str(a.n), "--ignore-eos", "--json", "-p", prompt], check=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            mine = json.loads(run.stdout)["tokens"]
            ids = m.ids(prompt.encode())
            rows = m.logits(ids + mine[:-1])[len(ids) - 1:]  # up to the first that differs its own greedy tokens are these
            at = next((k for k in range(a.n) if rows[k].argmax() != mine[k]), a.n)
            same += at == a.n
            differ += [] if at == a.n else [{"token": at, "ahead": round(float(rows[at].max() - rows[at][mine[at]]), 3)}]
        m.close()
        print(json.dumps({"file": str(path), "prompts": a.prompts, "n": a.n, "same": same, "differ": differ}), flush=True)


def importances(path):
    """The other program's array of importances, ended by an empty one, from a GGUF file."""
    import gguf
    tensors = {t.name: t for t in gguf.GGUFReader(path).tensors}
    rows = []
    for name, t in tensors.items():
        if name.endswith(".in_sum2"):
            counts = tensors[name[:-8] + ".counts"].data.reshape(-1, 1)
            rows.append((name[:-8], (t.data.reshape(len(counts), -1) / np.maximum(counts, 1)).astype(np.float32).ravel()))
    array = (L.llama_model_imatrix_data * (len(rows) + 1))()
    for i, (name, data) in enumerate(rows):
        array[i].name, array[i].data, array[i].size = name.encode(), data.ctypes.data_as(ctypes.POINTER(ctypes.c_float)), data.size
    return array, rows


def quantize(model, out, kind, imatrix=None, threads=2):
    p = L.llama_model_quantize_default_params()
    p.ftype, p.nthread, p.allow_requantize = getattr(L, f"LLAMA_FTYPE_MOSTLY_{kind.upper()}"), threads, True
    if imatrix:
        array, kept = importances(imatrix)
        p.imatrix = ctypes.cast(array, ctypes.POINTER(L.llama_model_imatrix_data))
    if L.llama_model_quantize(str(model).encode(), str(out).encode(), ctypes.byref(p)):
        raise SystemExit("llama_model_quantize failed")


def speed(a):
    seconds = {"lathe": [], "llama.cpp": []}
    with tempfile.TemporaryDirectory(dir=a.tmp) as folder:
        out = f"{folder}/out.gguf"
        for who in ("lathe", "llama.cpp", "llama.cpp", "lathe") * a.r:
            start = time.perf_counter()
            if who == "lathe":
                subprocess.run([LATHE, "quantize", a.model, out, "--type", a.type.lower(), "-t", "2", "--json"], check=True, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
            else:
                quantize(a.model, out, a.type)
            seconds[who].append(time.perf_counter() - start)
    median = {k: statistics.median(v) for k, v in seconds.items()}
    print(json.dumps({"type": a.type, "seconds": median, "ratio": median["llama.cpp"] / median["lathe"], "samples": seconds}))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest="what", required=True)
    s = sub.add_parser("kl")
    s.add_argument("reference")
    s.add_argument("candidates", nargs="+")
    s.add_argument("-f", "--file", action="append", required=True)
    s.add_argument("--chunks", type=int, default=12)
    s.add_argument("--ctx", type=int, default=512)
    s = sub.add_parser("tokens")
    s.add_argument("candidates", nargs="+")
    s.add_argument("-f", "--file", action="append", required=True)
    s.add_argument("--prompts", type=int, default=20)
    s.add_argument("-n", type=int, default=16)
    s.add_argument("--ctx", type=int, default=512)
    s = sub.add_parser("llama")
    s.add_argument("model")
    s.add_argument("out")
    s.add_argument("type")
    s.add_argument("--imatrix")
    s = sub.add_parser("speed")
    s.add_argument("model")
    s.add_argument("type")
    s.add_argument("-r", type=int, default=3)
    s.add_argument("--tmp")
    a = p.parse_args()
    if a.what == "llama":
        quantize(a.model, a.out, a.type, a.imatrix)
    else:
        {"kl": kl, "tokens": tokens, "speed": speed}[a.what](a)


if __name__ == "__main__":
    main()
