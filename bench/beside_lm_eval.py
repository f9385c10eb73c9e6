#!/usr/bin/env python3
"""`lathe eval --tasks` beside lm-evaluation-harness on the same items: the same choices, and how long each takes.

    bench/beside_lm_eval.py -m MODEL.gguf --limit 300 arc_easy.jsonl hellaswag.jsonl piqa.jsonl lambada.jsonl
    bench/beside_lm_eval.py -m MODEL.gguf --limit 30 --server llama arc_easy.jsonl

The harness runs its local-completions model (echo and logprobs) over `lathe serve`, whose choices are compared, or over llama-cpp-python's server, for the time (of the requests alone; lathe's has its start in it). It
tokenizes with llama.cpp's vocabulary of the same file. Needs lm-eval[api] and llama-cpp-python[server] (PyPI), and no network."""
import argparse, contextlib, json, os, socket, subprocess, sys, tempfile, time, urllib.request
from pathlib import Path

# llama-cpp-python's server without buffers of their own for its weights' layouts, with which 0.3.36 crashes on some machines with AMX.
PLAIN_SERVER = """
import sys, llama_cpp.llama_cpp as c
import llama_cpp
make = c.llama_model_default_params
def plain():
    p = make()
    p.use_extra_bufts = False
    return p
c.llama_model_default_params = llama_cpp.llama_model_default_params = plain
from llama_cpp.server.__main__ import main
main()
"""
ENDS = {"arc": "\nAnswer:", "piqa": "\nAnswer:"}


def free_port():
    with contextlib.closing(socket.socket()) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@contextlib.contextmanager
def server(kind, lathe, model, n_ctx):
    port = free_port()
    llama = ["--model", model, "--host", "127.0.0.1", "--port", port, "--n_ctx", n_ctx, "--logits_all", "true", "--n_threads", os.cpu_count(),
             "--n_threads_batch", os.cpu_count()]
    command = {"lathe": [lathe, "serve", "-m", model, "--port", port, "-c", n_ctx],
               "llama": [sys.executable, "-m", "llama_cpp.server", *llama],
               "llama-plain": [sys.executable, "-c", PLAIN_SERVER, *llama]}[kind]
    p = subprocess.Popen([str(x) for x in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                name = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models"))["data"][0]["id"]
                break
            except OSError:
                assert p.poll() is None, "the server ended"
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1/completions", name
    finally:
        p.terminate()
        p.wait()


def harness_model(url, name, model, as_text):
    from llama_cpp import Llama
    from lm_eval.models.openai_completions import LocalCompletionsAPI
    words = Llama(str(model), vocab_only=True, verbose=False)

    class Model(LocalCompletionsAPI):
        def tok_encode(self, string, left_truncate_len=None, **kwargs):
            one = lambda s: words.tokenize(s.encode(), add_bos=False, special=False)
            return one(string) if isinstance(string, str) else [one(s) for s in string]

        def decode_batch(self, tokens):
            return [words.detokenize(t).decode() for t in tokens]

        def loglikelihood(self, requests, **kwargs):
            start = time.time()
            out = super().loglikelihood(requests, **kwargs)
            self.seconds = time.time() - start
            return out

        eot_token_id = prefix_token_id = 0
        eos_string = ""

    m = Model(base_url=url, model=name, tokenizer_backend="None", max_length=2048, num_concurrent=1 if as_text else 8, timeout=3600)
    m.tokenizer, m.tokenized_requests = words, not as_text
    return m


def task_of(path, folder, limit):
    """The file as a task of the harness, whose query ends as its own does."""
    lines = [json.loads(line) for line in open(path)][:limit]
    end = next((e for name, e in ENDS.items() if path.name.startswith(name)), "")
    for x in lines:
        if end:
            x["query"] = x["query"].rstrip() + end
    name = "beside_" + path.stem
    data = Path(folder) / f"{name}.jsonl"
    data.write_text("".join(json.dumps({k: x[k] for k in ("query", "choices", "gold", "context", "continuation") if k in x}) + "\n" for x in lines))
    base = {"task": name, "dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}}, "test_split": "test"}
    if "continuation" in lines[0]:
        return lines, dict(base, output_type="loglikelihood", doc_to_text="{{context}}", doc_to_target=" {{continuation}}", metric_list=[{"metric": "acc"}])
    return lines, dict(base, output_type="multiple_choice", doc_to_text="{{query}}", doc_to_choice="choices", doc_to_target="gold",
                       metric_list=[{"metric": "acc"}, {"metric": "acc_norm"}])


def harness(lm, task):
    import lm_eval
    out = lm_eval.simple_evaluate(model=lm, tasks=[task], log_samples=True, bootstrap_iters=0)
    samples = sorted(out["samples"][task["task"]], key=lambda s: s["doc_id"])
    return [[r[0] if isinstance(r[0], (list, tuple)) else r for r in s["resps"]] for s in samples], lm.seconds


def ours(lathe, model, path, limit, folder):
    log = Path(folder) / "samples.jsonl"
    start = time.time()
    out = subprocess.run([str(lathe), "eval", "-m", str(model), "--tasks", str(path), "--limit", str(limit), "--log-samples", str(log), "--json"], check=True,
                         capture_output=True).stdout
    return [json.loads(line) for line in log.open()], time.time() - start, json.loads(out)["tasks"][0]


def best(values):
    return max(range(len(values)), key=lambda i: values[i])


def compare(lines, theirs, mine):
    same = same_norm = 0
    most = 0.0
    for x, a, b in zip(lines, theirs, mine):
        ll = [r[0] for r in a]
        most = max([most] + [abs(p - q) for p, q in zip(ll, b["logp"])])
        if "continuation" in x:
            same += bool(a[0][1]) == b["greedy"]
        else:
            same += best(ll) == b["pick"]
            same_norm += best([v / len(c) for v, c in zip(ll, x["choices"])]) == b["pick_norm"]
    n = len(lines)
    norm = "" if "continuation" in lines[0] else f", by acc_norm {100 * same_norm / n:.2f} %"
    return f"same choice {same} of {n} ({100 * same / n:.2f} %){norm}, log likelihoods within {most:.2g}"


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("-m", "--model", type=Path, required=True)
    p.add_argument("--lathe", type=Path, default=Path(__file__).resolve().parent.parent / "build/lathe")
    p.add_argument("--server", choices=["lathe", "llama", "llama-plain"], default="lathe")
    p.add_argument("--limit", type=int, default=300)
    p.add_argument("files", nargs="+", type=Path)
    a = p.parse_args()
    os.environ.update(HF_DATASETS_OFFLINE="1", HF_HUB_OFFLINE="1", OPENAI_API_KEY="none")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HF_DATASETS_CACHE"] = folder + "/cache"
        for path in a.files:
            lines, task = task_of(path, folder, a.limit)
            mine, seconds, d = ours(a.lathe, a.model, path, a.limit, folder)
            with server(a.server, a.lathe, a.model, 2048) as (url, name):
                theirs, other = harness(harness_model(url, name, a.model, a.server != "lathe"), task)
            mine2, seconds2, _ = ours(a.lathe, a.model, path, a.limit, folder)
            print(f"{path.stem}: {compare(lines, theirs, mine)}; lathe eval {seconds:.1f} s and {seconds2:.1f} s, lm-eval over {a.server} {other:.1f} s "
                  f"({other / ((seconds + seconds2) / 2):.1f} x)", flush=True)


if __name__ == "__main__":
    main()
